package secret_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/secret"
)

const place = "registries/5/access_secret"

func box(t *testing.T, first byte) *secret.Box {
	t.Helper()
	b, err := secret.NewBox([32]byte{first})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func seal(t *testing.T, b *secret.Box, plain string) string {
	t.Helper()
	sealed, err := b.Seal(plain, place)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestWhatWasSealedIsOpened(t *testing.T) {
	t.Parallel()
	b := box(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		plain, context := rapid.String().Draw(t, "plain"), rapid.String().Draw(t, "context")
		sealed, err := b.Seal(plain, context)
		if err != nil {
			t.Fatal(err)
		}
		if opened, err := b.Open(sealed, context); err != nil || opened != plain {
			t.Fatalf("opened %q, %v; want %q", opened, err, plain)
		}
	})
}

func TestTheSealedTextShowsNothing(t *testing.T) {
	t.Parallel()
	b := box(t, 1)
	first, second := seal(t, b, "Harbor12345"), seal(t, b, "Harbor12345")
	if first == second {
		t.Error("the same text sealed twice is recognizable")
	}
	if strings.Contains(first, "Harbor12345") || !strings.HasPrefix(first, "v1:") {
		t.Errorf("sealed: %s", first)
	}
	if parts := strings.Split(first, ":"); len(parts) != 3 || len(parts[1]) != 8 {
		t.Errorf("sealed: %s, want v1:<8 digits key id>:<base64>", first)
	}
}

func TestNothingIsSealedToNothing(t *testing.T) {
	t.Parallel()
	b := box(t, 1)
	if sealed := seal(t, b, ""); sealed != "" {
		t.Errorf("sealed %q", sealed)
	}
	if opened, err := b.Open("", place); opened != "" || err != nil {
		t.Errorf("opened %q, %v", opened, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	b := box(t, 1)
	sealed := seal(t, b, "Harbor12345")
	prefix := sealed[:strings.LastIndex(sealed, ":")+1]
	content, err := base64.RawStdEncoding.DecodeString(sealed[len(prefix):])
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-1] ^= 1
	flipped := prefix + base64.RawStdEncoding.EncodeToString(content)
	for _, c := range []struct{ name, sealed, context, want string }{
		{"another place", sealed, "registries/6/access_secret", "stored for another place"},
		{"a changed byte", flipped, place, "damaged"},
		{"a cut text", sealed[:len(prefix)+8], place, "damaged"},
		{"no base64", prefix + "?", place, "damaged"},
		{"a plain text", "Harbor12345", place, "not a sealed secret"},
		{"a plain text with colons", "a:b:c", place, "not a sealed secret"},
		{"another key", seal(t, box(t, 2), "Harbor12345"), place, "restore the key file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			opened, err := b.Open(c.sealed, c.context)
			if err == nil {
				t.Fatalf("opened %q", opened)
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.context) {
				t.Errorf("the error is %q, want %q and the place in it", err, c.want)
			}
			if strings.Contains(err.Error(), "Harbor12345") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestKeyFileIsMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data", "secret.key")
	first, err := secret.OpenKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed := seal(t, first, "Harbor12345")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %04o", info.Mode().Perm())
	}
	second, err := secret.OpenKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := second.Open(sealed, place); err != nil || opened != "Harbor12345" {
		t.Errorf("after a restart: %q, %v", opened, err)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

func TestProcessesThatStartTogetherShareOneKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret.key")
	boxes := make([]*secret.Box, 16)
	var wg sync.WaitGroup
	for i := range boxes {
		wg.Go(func() {
			b, err := secret.OpenKeyFile(path)
			if err != nil {
				t.Error(err)
			}
			boxes[i] = b
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	sealed := seal(t, boxes[0], "Harbor12345")
	for _, b := range boxes {
		if opened, err := b.Open(sealed, place); err != nil || opened != "Harbor12345" {
			t.Fatalf("opened %q, %v", opened, err)
		}
	}
}

func TestKeyFileIsRefused(t *testing.T) {
	t.Parallel()
	good := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, c := range []struct {
		name, content string
		mode          os.FileMode
		want          string
	}{
		{"others may read it", good, 0o604, "0600"},
		{"the group may write it", good, 0o660, "0600"},
		{"empty", "", 0o600, "0 bytes"},
		{"no base64", "secret!", 0o600, "not base64"},
		{"too short", base64.StdEncoding.EncodeToString(make([]byte, 16)), 0o600, "16 bytes"},
		{"too long", base64.StdEncoding.EncodeToString(make([]byte, 33)), 0o600, "33 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "secret.key")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := secret.OpenKeyFile(path)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("error %v, want %q and the path in it", err, c.want)
			}
			if after, _ := os.ReadFile(path); string(after) != c.content {
				t.Error("the file was changed")
			}
		})
	}
}

func TestKeyFileOfAnAdministrator(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret.key")
	key := [32]byte{7}
	text := "\n" + base64.StdEncoding.EncodeToString(key[:]) + "\r\n"
	if err := os.WriteFile(path, []byte(text), 0o440); err != nil {
		t.Fatal(err)
	}
	fromFile, err := secret.OpenKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := box(t, 7).Open(seal(t, fromFile, "x"), place); err != nil || opened != "x" {
		t.Errorf("opened %q, %v", opened, err)
	}
}

func FuzzOpenNeverPanics(f *testing.F) {
	b, err := secret.NewBox([32]byte{1})
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := b.Seal("Harbor12345", place)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed, place)
	f.Add("v1::", "")
	f.Fuzz(func(t *testing.T, text, context string) {
		if opened, err := b.Open(text, context); err == nil && opened != "" && (opened != "Harbor12345" || context != place) {
			t.Errorf("opened %q for %q", text, context)
		}
	})
}
