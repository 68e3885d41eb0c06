package journal

import (
	"os"
	"path/filepath"

	"ipvs-operator.io/helper/share"
)

// settle returns when what was read is on the disk. It costs something only after another process has written.
func (j *Journal) settle() error {
	if !j.unsynced {
		return nil
	}
	file, err := os.Open(j.path)
	if err != nil {
		return j.unwritable(err)
	}
	defer file.Close()
	if err := j.syncAll(file); err != nil {
		return j.unwritable(err)
	}
	return nil
}

// syncAll brings the file onto the disk, and its name, should another process have put it there.
func (j *Journal) syncAll(file *os.File) error {
	if err := j.do("sync file", file.Sync); err != nil || !j.unsynced {
		return err
	}
	directory, err := os.Open(filepath.Dir(j.path))
	if err != nil {
		return err
	}
	defer directory.Close()
	if err := j.do("sync directory", directory.Sync); err != nil {
		return err
	}
	j.unsynced = false
	return nil
}

// append puts a record behind the last one, and returns when it is on the disk.
func (j *Journal) append(record []byte) error {
	file, err := os.OpenFile(j.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := j.do("write record", func() error {
		_, err := file.WriteAt(record, j.end)
		return err
	}); err != nil {
		return err
	}
	return j.syncAll(file)
}

// replace writes a new file and renames it over the old one, each on the disk before the next step: after a power cut there is
// the one or the other, whole.
func (j *Journal) replace(content []byte) error {
	temporary := j.path + ".new"
	_ = os.Remove(temporary) // a rest of another user's interrupted write could not be opened
	file, err := share.Create(temporary, 0o640)
	if err != nil {
		return err
	}
	defer file.Close()
	directory, err := os.Open(filepath.Dir(j.path))
	if err != nil {
		return err
	}
	defer directory.Close()
	for _, step := range []struct {
		name string
		make func() error
	}{
		{"write new file", func() error {
			_, err := file.Write(content)
			return err
		}},
		{"sync new file", file.Sync},
		{"rename", func() error { return os.Rename(temporary, j.path) }},
		{"sync directory", directory.Sync},
	} {
		if err := j.do(step.name, step.make); err != nil {
			_ = os.Remove(temporary)
			return err
		}
	}
	return nil
}

func (j *Journal) do(name string, work func() error) error {
	if err := j.step(name); err != nil {
		return err
	}
	return work()
}
