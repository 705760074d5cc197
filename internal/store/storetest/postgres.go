package storetest

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/lighterage/lighterage/internal/store"
)

// server starts the test binary's PostgreSQL; nil when there is none to start.
// One for all tests, because starting one takes a second or two.
var server = sync.OnceValues(func() (*postgres, error) {
	bin := findPostgres()
	if bin == "" {
		return nil, nil
	}
	s, err := start(bin)
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL of %s: %w", bin, err)
	}
	return s, nil
})

type postgres struct {
	dir     string
	copying string   // how CREATE DATABASE is told to copy files: much faster than its default
	life    *os.File // the server stops when this pipe is closed
	created atomic.Int64

	mu   sync.Mutex
	free []string // databases that no test uses
}

// script makes and starts a server, and stops it when standard input ends, which
// it does too when the test binary is killed. Where it can be, the server's
// locale is one that sorts and folds letters as people do, so that a statement
// that depends on the locale is found out. $1: programs, $2: folder.
const script = `
make() {
	"$1/initdb" -D "$2/data" -U postgres -A trust -E UTF8 --no-sync "$3" "$4" >"$2/log" 2>&1
}
if { make "$1" "$2" --locale-provider=icu --icu-locale=en-US || make "$1" "$2" --no-locale --no-instructions; } &&
	"$1/pg_ctl" -D "$2/data" -l "$2/log" -w -o "-k '$2' -h '' -F -c max_connections=400 -c synchronous_commit=off -c full_page_writes=off" start >>"$2/log" 2>&1
then echo started
else echo failed
fi
read -r _
"$1/pg_ctl" -D "$2/data" -m immediate stop >>"$2/log" 2>&1
rm -rf "$2"
`

func start(bin string) (*postgres, error) {
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		return nil, err
	}
	if len(dir) > 80 { // a socket's path may have about 100 bytes
		_ = os.Remove(dir)
		if dir, err = os.MkdirTemp("/tmp", "pg"); err != nil {
			return nil, err
		}
	}
	input, life, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = input.Close() }()
	cmd := exec.Command("/bin/sh", "-c", script, "sh", bin, dir)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.Stdin = input
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C must not take the script away before it has cleaned up
	if os.Geteuid() == 0 {
		if err := dropRoot(cmd, dir); err != nil {
			return nil, err
		}
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil || line != "started\n" {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		_ = life.Close()
		return nil, fmt.Errorf("it did not start:\n%s", log)
	}
	s := &postgres{dir: dir, life: life}
	return s, s.prepareTemplate()
}

// dropRoot has cmd run as a user that PostgreSQL agrees to run as.
func dropRoot(cmd *exec.Cmd, dir string) error {
	account, err := user.Lookup("postgres")
	if err != nil {
		if account, err = user.Lookup("nobody"); err != nil {
			return fmt.Errorf("root may not run PostgreSQL: %w", err)
		}
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return err
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(dir, int(uid), int(gid))
}

// template is the database with the schema that the tests' databases are copies of.
const template = "migrated"

func (s *postgres) prepareTemplate() error {
	ctx := context.Background()
	if err := s.execute(ctx, "CREATE DATABASE "+template); err != nil {
		return err
	}
	// PostgreSQL 15 has the option; those before can do nothing else.
	if s.execute(ctx, "CREATE DATABASE probe STRATEGY file_copy") == nil {
		s.copying = " STRATEGY file_copy"
	}
	db, err := store.Open(ctx, s.url(template))
	if err != nil {
		return err
	}
	return db.Close()
}

func (s *postgres) url(database string) string {
	q := url.Values{"host": {s.dir}, "user": {"postgres"}}
	return "postgres:///" + database + "?" + q.Encode()
}

// take returns a database with an empty schema: one that another test has used
// before, since making one takes longer than most tests.
func (s *postgres) take(ctx context.Context) (name string, err error) {
	s.mu.Lock()
	if n := len(s.free); n > 0 {
		name, s.free = s.free[n-1], s.free[:n-1]
	}
	s.mu.Unlock()
	if name != "" {
		return name, nil
	}
	return s.create(ctx, template)
}

// giveBack empties a database that take has returned.
func (s *postgres) giveBack(name string) error {
	ctx := context.Background()
	db, err := sql.Open("pgx", s.url(name))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	// Nothing of the test, such as a process that it killed, may still write.
	var ended int
	err = db.QueryRowContext(ctx, `SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&ended)
	if err != nil {
		return fmt.Errorf("end the connections of %s: %w", name, err)
	}
	var tables string
	err = db.QueryRowContext(ctx, `SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'goose_db_version'`).Scan(&tables)
	if err != nil {
		return fmt.Errorf("list the tables of %s: %w", name, err)
	}
	if _, err := db.ExecContext(ctx, "TRUNCATE "+tables+" RESTART IDENTITY"); err != nil {
		return fmt.Errorf("empty %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, name)
	return nil
}

func (s *postgres) create(ctx context.Context, template string) (name string, err error) {
	name = fmt.Sprintf("test_%d", s.created.Add(1))
	return name, s.execute(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template+s.copying)
}

func (s *postgres) drop(name string) error {
	return s.execute(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
}

// execute runs a statement on a connection of its own: one that stayed open would
// be a goroutine that leak checks find.
func (s *postgres) execute(ctx context.Context, statement string) error {
	db, err := sql.Open("pgx", s.url("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// findPostgres returns the folder of PostgreSQL's programs, the newest when there
// are several, "" when there is none.
func findPostgres() string {
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(folders, func(a, b string) int { return majorVersion(b) - majorVersion(a) })
	if found, err := exec.LookPath("initdb"); err == nil {
		if found, err = filepath.EvalSymlinks(found); err == nil {
			folders = append([]string{filepath.Dir(found)}, folders...)
		}
	}
	for _, folder := range folders {
		if _, err := os.Stat(filepath.Join(folder, "initdb")); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(folder, "pg_ctl")); err == nil {
			return folder
		}
	}
	return ""
}

func majorVersion(folder string) int {
	n, _ := strconv.Atoi(strings.TrimSuffix(filepath.Base(filepath.Dir(folder)), ".0"))
	return n
}
