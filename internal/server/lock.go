package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/lighterage/lighterage/internal/problem"
)

// lock keeps other servers away from an SQLite database for as long as this
// process has it: what a second one took for left over by a crash would be what the
// first is doing. The kernel ends it with the process. PostgreSQL needs none: servers
// that share it know of each other.
func (c Config) lock() (unlock func() error, err error) {
	file, isFile := strings.CutPrefix(c.Database, "sqlite:")
	if !isFile || file == "" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, fmt.Errorf("make the database's folder: %w", err)
	}
	held, err := os.OpenFile(file+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the database: %w", err)
	}
	err = syscall.Flock(int(held.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = problem.New(problem.Precondition,
			"another lighterage uses the database %s: stop it first, or use PostgreSQL, which several servers can share", file)
	case errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOLCK):
		c.Log.Warn("the file system cannot lock, so nothing keeps a second server from the database", "file", held.Name(), "error", err)
		return held.Close, nil
	case err != nil:
		err = fmt.Errorf("lock the database: %s: %w", held.Name(), err)
	}
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return held.Close, nil
}
