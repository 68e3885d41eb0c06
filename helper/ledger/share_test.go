package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// Root's umask may keep others from reading what it makes: every file is the directory's owner's, so that the session of the helper's
// user goes on with it.
func TestRootSharesWithTheHelpersUser(t *testing.T) {
	directory := t.TempDir()
	defer unix.Umask(unix.Umask(0o077))
	if os.Geteuid() == 0 {
		if err := os.Chown(directory, 12345, 12346); err != nil {
			t.Fatal(err)
		}
	}
	release, err := NewLock(directory, "1").Acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	vip, err := address.Parse("203.0.113.10 on eth0")
	if err != nil {
		t.Fatal(err)
	}
	destination, err := ipvs.ParseDestinationKey("192.0.2.21:80")
	if err != nil {
		t.Fatal(err)
	}
	web := key(t, "TCP 203.0.113.10:80")
	draining := map[drain.Key]drain.Term{{VirtualServer: web, RealServer: destination}: {Since: time.Second, Deadline: time.Minute}}
	var many []ipvs.ServiceKey
	for port := range mostRecent + 1 {
		many = append(many, key(t, fmt.Sprintf("TCP 203.0.113.11:%d", port+1)))
	}
	ledger := Open(directory, "prod", "1", "boot")
	write(t, ledger, Delta{Fence: wire.Fence{Epoch: 1, Generation: 1}, AddKeys: many})
	write(t, ledger, Delta{AddKeys: []ipvs.ServiceKey{web}, AddDrains: draining, Announcing: []address.Assigned{vip}})
	var above unix.Stat_t
	if err := unix.Stat(directory, &above); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"1.lock", "prod.1.state.json", "prod.1.entries.json", "prod.1.recent.json", "prod.1.drains.json", "prod.1.unannounced.json"} {
		var made unix.Stat_t
		if err := unix.Stat(filepath.Join(directory, name), &made); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if made.Uid != above.Uid || made.Gid != above.Gid || made.Mode&unix.S_IRUSR == 0 {
			t.Errorf("%s is %d:%d %o, its directory's owner %d:%d", name, made.Uid, made.Gid, made.Mode&0o777, above.Uid, above.Gid)
		}
	}
}
