package secret

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// OpenKeyFile returns the box of the key in a file: 32 bytes as base64, as
// "openssl rand -base64 32" prints them. When there is no such file it is made,
// with a random key and readable by its owner only; processes that do so at the
// same time end up with the same key, and a crash leaves a whole file or none.
//
// A file that others may read, or that the group may write, is refused. The group
// may read it because Kubernetes mounts secrets so.
func OpenKeyFile(path string) (*Box, error) {
	key, err := readKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createKeyFile(path); err != nil {
			return nil, fmt.Errorf("make the key file %s: %w", path, err)
		}
		key, err = readKeyFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key file %s: %w", path, err)
	}
	return NewBox(key)
}

func readKeyFile(path string) (key [32]byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return key, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return key, err
	}
	if mode := info.Mode().Perm(); mode&0o027 != 0 {
		return key, fmt.Errorf("its mode is %04o, so others could use the key; make it 0600", mode)
	}
	const enough = 1024 // bytes, for a key in any layout
	text, err := io.ReadAll(io.LimitReader(file, enough))
	if err != nil {
		return key, err
	}
	content, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return key, errors.New("no key in it: not base64") // the cause would tell something of the content
	}
	if len(content) != len(key) {
		return key, fmt.Errorf("no key in it: it has %d bytes, not %d", len(content), len(key))
	}
	return [32]byte(content), nil
}

// createKeyFile makes the file under another name and gives it its own when it is
// complete and on the disk. It leaves a file alone that is there by then.
func createKeyFile(path string) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(folder, filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	_, err = file.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link does not replace the key of a process that was faster.
	if err := os.Link(file.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		// A file system without links. There the first start must not be made twice at once.
		if err := os.Rename(file.Name(), path); err != nil {
			return err
		}
	}
	return syncFolder(folder)
}

func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
