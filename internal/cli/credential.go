package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/lighterage/lighterage/internal/registry"
)

// endFlags are the flags of one end of a replication.
type endFlags struct {
	end       string // src, dest
	creds     string
	stdin     bool
	anonymous bool
	insecure  bool
	caFile    string
	provider  string
}

// endpoint is the registry at one end, with the credential to use there: flags,
// then the environment, then what "docker login" and "podman login" stored.
func (a *app) endpoint(ctx context.Context, l location, f endFlags) (registry.Endpoint, error) {
	e := registry.Endpoint{Provider: f.provider, URL: l.url, Insecure: f.insecure}
	if f.caFile != "" {
		pem, err := readFile("--"+f.end+"-ca", f.caFile)
		if err != nil {
			return e, err
		}
		e.CACertificate = pem
	}
	var err error
	e.Credential, err = a.credential(ctx, l, f)
	return e, err
}

func (a *app) credential(ctx context.Context, l location, f endFlags) (registry.Credential, error) {
	prefix := "LIGHTERAGE_" + strings.ToUpper(f.end)
	user, password, both := strings.Cut(f.creds, ":")
	switch {
	case f.anonymous && (f.creds != "" || f.stdin):
		return registry.Credential{}, usage("--%s-no-creds and a credential exclude each other", f.end)
	case f.anonymous:
		return registry.Credential{}, nil
	case f.stdin && both:
		return registry.Credential{}, usage("--%s-creds has a password and --%s-password-stdin wants another", f.end, f.end)
	}
	if user == "" {
		user = a.Getenv(prefix + "_USERNAME")
	}
	switch {
	case f.stdin && user == "":
		return registry.Credential{}, usage("--%s-password-stdin: whose password? say --%s-creds USER", f.end, f.end)
	case f.stdin:
		var err error
		if password, err = a.secretFromStdin("--" + f.end + "-password-stdin"); err != nil {
			return registry.Credential{}, err
		}
	case user == "":
		return a.storedCredential(ctx, l)
	case !both:
		if password = a.Getenv(prefix + "_PASSWORD"); password == "" {
			return registry.Credential{}, usage("no password for %s at %s: say --%s-password-stdin or set %s_PASSWORD", user, l.host, f.end, prefix)
		}
	}
	return registry.Credential{Type: "basic", AccessKey: user, AccessSecret: password}, nil
}

// storedCredential asks the files of other registry clients, and the helpers
// that these files name. A registry that is in none of them gets no credential.
func (a *app) storedCredential(ctx context.Context, l location) (registry.Credential, error) {
	address := credentials.ServerAddressFromHostname(l.host)
	if strings.HasSuffix(l.url, "//"+dockerHub) {
		address = credentials.ServerAddressFromRegistry("docker.io")
	}
	for _, path := range a.credentialFiles() {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		store, err := credentials.NewStore(path, credentials.StoreOptions{})
		if err != nil {
			return registry.Credential{}, fmt.Errorf("read credentials: %w", err)
		}
		found, err := store.Get(ctx, address)
		if err != nil {
			return registry.Credential{}, advise(fmt.Errorf("credential of %s from %s: %w", l.host, path, err),
				"Log in again with \"docker login %s\", or go without with --src-no-creds or --dest-no-creds.", l.host)
		}
		switch {
		case found == auth.EmptyCredential:
		case found.RefreshToken != "":
			return registry.Credential{Type: "oauth", AccessKey: found.Username, AccessSecret: found.RefreshToken}, nil
		case found.Username != "":
			return registry.Credential{Type: "basic", AccessKey: found.Username, AccessSecret: found.Password}, nil
		}
	}
	return registry.Credential{}, nil
}

// credentialFiles lists where docker, podman and skopeo keep credentials.
func (a *app) credentialFiles() []string {
	if path := a.Getenv("REGISTRY_AUTH_FILE"); path != "" {
		return []string{path}
	}
	var files []string
	if dir := a.Getenv("DOCKER_CONFIG"); dir != "" {
		files = append(files, filepath.Join(dir, "config.json"))
	} else if home := a.Getenv("HOME"); home != "" {
		files = append(files, filepath.Join(home, ".docker", "config.json"))
	}
	if dir := a.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		files = append(files, filepath.Join(dir, "containers", "auth.json"))
	}
	return files
}
