package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/share"
)

// ErrLockBusy says that another request held the lock all the time we were willing to wait.
var ErrLockBusy = errors.New("another request on this director is still being carried out: try again")

// Lock serialises everyone who reads and writes one network namespace's table, whatever the owner: dumps are consistent
// only while nobody writes (the kernel's cursor is a position, and IPVS never reports an interrupted dump).
type Lock struct {
	path string
	// Patience is how long to wait for the lock.
	Patience time.Duration
}

// NewLock names the lock file of a network namespace; it touches nothing.
func NewLock(directory, netns string) *Lock {
	return &Lock{path: filepath.Join(directory, netns+".lock"), Patience: 20 * time.Second}
}

// Usable says why lock and ledgers cannot be kept in the directory, or nil.
func (l *Lock) Usable() error {
	directory := filepath.Dir(l.path)
	if err := unix.Access(directory, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("state directory %s cannot be written: %w; create it for the helper's user (systemd-tmpfiles)", directory, err)
	}
	return nil
}

// Acquire waits for the lock and returns what releases it. The kernel releases it too when the process dies.
func (l *Lock) Acquire() (release func(), err error) { return l.acquire(l.Patience) }

// TryAcquire takes the lock if nobody holds it; else the error is ErrLockBusy.
func (l *Lock) TryAcquire() (release func(), err error) { return l.acquire(0) }

// open opens the file, or makes it. Read-only suffices for flock, and lets root and the helper's user share it whoever made it.
func (l *Lock) open() (*os.File, error) {
	for tries := 0; ; tries++ {
		file, err := os.Open(l.path)
		if !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
		file, err = share.Create(l.path, 0o644)
		if !errors.Is(err, fs.ErrExist) || tries > 0 { // else another process was faster
			return file, err
		}
	}
}

func (l *Lock) acquire(patience time.Duration) (release func(), err error) {
	file, err := l.open()
	if err != nil {
		return nil, fmt.Errorf("lock %s cannot be opened: %w; create its directory for the helper's user (systemd-tmpfiles)", l.path, err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = file.Close()
			return nil, fmt.Errorf("lock %s: %w", l.path, err)
		}
		if time.Now().After(deadline) {
			_ = file.Close()
			return nil, ErrLockBusy
		}
	}
}
