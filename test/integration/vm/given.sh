echo "uid $(id -u)"
echo "argument $1"
echo "environment $GIVEN"
echo "a complaint" >&2
exit 7
