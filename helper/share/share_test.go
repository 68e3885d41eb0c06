package share

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCreatedBelongsToTheDirectorysOwner(t *testing.T) {
	directory := t.TempDir()
	defer unix.Umask(unix.Umask(0o077))
	if os.Geteuid() == 0 {
		if err := os.Chown(directory, 12345, 12346); err != nil {
			t.Fatal(err)
		}
	}
	file, err := Create(filepath.Join(directory, "new"), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var made, above unix.Stat_t
	if err := errors.Join(unix.Fstat(int(file.Fd()), &made), unix.Stat(directory, &above)); err != nil {
		t.Fatal(err)
	}
	if made.Uid != above.Uid || made.Gid != above.Gid || made.Mode&0o777 != 0o600 {
		t.Errorf("the file is %d:%d %o, its directory's owner %d:%d", made.Uid, made.Gid, made.Mode&0o777, above.Uid, above.Gid)
	}
}

// The directory's owner may put a link where root is about to make a file: what it leads to is neither opened nor given away.
func TestNothingIsFollowed(t *testing.T) {
	directory := t.TempDir()
	target, path := filepath.Join(directory, "target"), filepath.Join(directory, "new")
	for _, exists := range []bool{false, true} {
		if exists {
			if err := os.WriteFile(target, []byte("kept"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_ = os.Remove(path)
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		if _, err := Create(path, 0o644); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%v", err)
		}
	}
	if content, err := os.ReadFile(target); err != nil || string(content) != "kept" {
		t.Errorf("%q, %v", content, err)
	}
}
