package tree_test

import (
	"errors"
	"testing"

	"github.com/opencontainers/go-digest"

	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

func TestObjectsAreProvenWithoutReadingThem(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...ts.Option) *ts.Store{"versitygw": ts.S3, "MinIO": ts.MinIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := start(t)
			s := probed(t, store, inParts, withChecksums)
			sizes := map[string]int{"empty": 0, "link": 71, "blob": 100_000, "large": 6 << 20}
			for name, size := range sizes {
				mustPut(t, s, name, content(size))
			}
			store.Put("root/foreign", content(500)) // by somebody who sends no SHA-256
			sizes["foreign"] = 500
			for _, tc := range []struct {
				name     string
				known    bool
				want     tree.Proof
				requests int
			}{
				{"empty", false, tree.ETag, 0},
				{"link", true, tree.ETag, 0},
				{"link", false, tree.Checksum, 1},
				{"blob", false, tree.Checksum, 1},
				{"large", false, tree.Unproven, 1},
				{"foreign", true, tree.ETag, 0},
				{"foreign", false, tree.Unproven, 1},
			} {
				o, err := s.Stat(t.Context(), tc.name)
				if err != nil {
					t.Fatal(err)
				}
				store.ResetRequests()
				b := content(sizes[tc.name])
				var known []byte
				if tc.known {
					known = b
				}
				proof, err := s.Prove(t.Context(), o, digest.FromBytes(b), known)
				if proof != tc.want || err != nil {
					t.Errorf("%s, known %t: %s, %v; want %s", tc.name, tc.known, proof, err, tc.want)
				}
				if n := store.Requests().Count(); n != tc.requests || store.Requests().Count("HEAD object") != n {
					t.Errorf("%s, known %t: it took\n%s", tc.name, tc.known, store.Requests())
				}
			}
		})
	}
}

func TestOtherBytesAreNotProven(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	s := probed(t, store, withChecksums)
	mustPut(t, s, "a", content(1000))
	o, err := s.Stat(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	wrong := content(1000)
	wrong[500] ^= 1
	for _, known := range [][]byte{nil, wrong} {
		if proof, err := s.Prove(t.Context(), o, digest.FromBytes(wrong), known); proof != tree.Unproven || !errors.Is(err, tree.ErrDigest) || tree.IsFatal(err) {
			t.Errorf("%d bytes known: %s, %v", len(known), proof, err)
		}
	}
	if proof, err := s.Prove(t.Context(), o, digest.FromBytes(content(10)), content(10)); proof != tree.Unproven || !errors.Is(err, tree.ErrDigest) {
		t.Errorf("another size: %s, %v", proof, err)
	}
	// What was listed is not there any more.
	store.Put("root/a", content(1000)[1:])
	if proof, err := s.Prove(t.Context(), o, digest.FromBytes(content(1000)), nil); proof != tree.Unproven || err != nil {
		t.Errorf("an object that has changed: %s, %v", proof, err)
	}
	store.Remove("root/a")
	if proof, err := s.Prove(t.Context(), o, digest.FromBytes(content(1000)), nil); proof != tree.Unproven || !tree.IsNotExist(err) {
		t.Errorf("an object that has gone: %s, %v", proof, err)
	}
	// A digest that no store keeps.
	if proof, err := s.Prove(t.Context(), o, digest.SHA512.FromBytes(content(1000)), nil); proof != tree.Unproven || err != nil {
		t.Errorf("SHA-512: %s, %v", proof, err)
	}
}

func TestASpoiltObjectIsFoundOutByItsETag(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	s := probed(t, store)
	store.Faults.Add(ts.Fault{Class: "PUT object", Do: store.Spoil()})
	mustPut(t, s, "a", content(71))
	o, err := s.Stat(t.Context(), "a")
	if err != nil || o.Size != 71 {
		t.Fatalf("%+v, %v", o, err)
	}
	if proof, err := s.Prove(t.Context(), o, digest.FromBytes(content(71)), content(71)); proof != tree.Unproven {
		t.Errorf("%s, %v", proof, err)
	}
}

func withChecksums(c *tree.S3Config) { c.Checksums = true }
