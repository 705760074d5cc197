package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// logins is the file that remembers servers and credentials. Whoever can read it
// can log in, so only the user can.
type logins struct {
	// Current is the server that commands go to when they do not name one.
	Current string           `json:"current,omitempty"`
	Servers map[string]login `json:"servers"` // by URL
}

// login is how to reach one server.
type login struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	CACertificate string `json:"ca_certificate,omitempty"` // PEM
	Insecure      bool   `json:"insecure,omitempty"`
}

// loginsPath is $XDG_CONFIG_HOME/lighterage/config.json.
func (a *app) loginsPath() (string, error) {
	base := a.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(base) {
		home := a.Getenv("HOME")
		if home == "" {
			return "", usage("no place for the login file: neither XDG_CONFIG_HOME nor HOME is set; use LIGHTERAGE_SERVER, LIGHTERAGE_USERNAME and LIGHTERAGE_PASSWORD instead")
		}
		base = filepath.Join(home, ".config")
	}
	return filepath.Join(base, "lighterage", "config.json"), nil
}

// readLogins reads the file; one that is missing is empty.
func (a *app) readLogins() (logins, error) {
	empty := logins{Servers: map[string]login{}}
	path, err := a.loginsPath()
	if err != nil {
		return empty, nil // nothing can have been stored
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return empty, nil
	}
	if err != nil {
		return empty, fmt.Errorf("read logins: %w", err)
	}
	all := empty
	if err := json.Unmarshal(content, &all); err != nil {
		return empty, advise(fmt.Errorf("read logins: %s is damaged: %w", path, err), "Remove the file and log in again.")
	}
	if all.Servers == nil {
		all.Servers = map[string]login{}
	}
	return all, nil
}

// changeLogins reads, changes and replaces the file, so that a crash leaves the
// old one or the new one.
func (a *app) changeLogins(change func(*logins)) (path string, err error) {
	if path, err = a.loginsPath(); err != nil {
		return "", err
	}
	all, err := a.readLogins()
	if err != nil {
		return "", err
	}
	change(&all)
	content, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("store login: %w", err)
	}
	// A file made by CreateTemp is readable by its owner only.
	temporary, err := os.CreateTemp(filepath.Dir(path), ".config-*")
	if err != nil {
		return "", fmt.Errorf("store login: %w", err)
	}
	_, err = temporary.Write(append(content, '\n'))
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return "", fmt.Errorf("store login: %w", errors.Join(err, os.Remove(temporary.Name())))
	}
	return path, nil
}

// known returns the URLs of the servers in the file, sorted.
func (l logins) known() []string {
	var all []string
	for server := range l.Servers {
		all = append(all, server)
	}
	slices.Sort(all)
	return all
}
