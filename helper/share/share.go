// Package share makes files with which root and the helper's user can both go on, whoever of them made a file first.
package share

import (
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Create makes a file that does not exist yet, for writing. One that root makes belongs to the directory's owner and group: with a
// strict umask nobody else could even read it. What stands at the path is never followed, because root gives away what it opens.
func Create(path string, mode fs.FileMode) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	if err := giveAway(file); err != nil {
		_ = file.Close()
		_ = os.Remove(path)
		return nil, err
	}
	return file, nil
}

func giveAway(file *os.File) error {
	if os.Geteuid() != 0 {
		return nil
	}
	var directory unix.Stat_t
	if err := unix.Stat(filepath.Dir(file.Name()), &directory); err != nil {
		return err
	}
	return file.Chown(int(directory.Uid), int(directory.Gid))
}
