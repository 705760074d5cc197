package oci

import (
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestPlatformsAreReadInTheirManyWritings(t *testing.T) {
	t.Parallel()
	for names, want := range map[string]string{
		"linux/amd64":                         "linux/amd64",
		"Linux/x86_64 linux/amd64/v1":         "linux/amd64",
		"linux/arm64/v8 linux/aarch64":        "linux/arm64",
		"linux/arm/7 linux/armhf":             "linux/arm/v7",
		"windows/amd64 linux/386 linux/amd64": "linux/386,linux/amd64,windows/amd64",
	} {
		all, err := ParsePlatforms(strings.Fields(names))
		if err != nil || all.String() != want {
			t.Errorf("%s: %s, %v; want %s", names, all, err, want)
		}
		if again, err := ParsePlatforms(strings.Split(all.String(), ",")); err != nil || again.String() != want {
			t.Errorf("%s: written and read again: %s, %v", names, again, err)
		}
	}
	for _, name := range []string{"", "linux", "linux/", "/amd64", "linux/arm/", "linux/arm/v7/x"} {
		if _, err := ParsePlatforms([]string{name}); err == nil {
			t.Errorf("%q is taken for a platform", name)
		}
	}
}

func TestAPlatformOfAnImageCanBeWrittenIntoALog(t *testing.T) {
	t.Parallel()
	p, known := PlatformOf(&ocispec.Platform{OS: "Linux\x00", Architecture: "amd64\n", Variant: "\x1b"})
	if !known || p.String() != "linux\uFFFD/amd64\uFFFD/\uFFFD" {
		t.Errorf("%q, %v", p, known)
	}
}

func TestWhatAWishForAPlatformIncludes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		wish, has string
		want      bool
	}{
		{"linux/amd64", "linux/amd64", true},
		{"linux/amd64", "linux/amd64/v3", true},
		{"linux/amd64/v3", "linux/amd64", false},
		{"linux/amd64", "windows/amd64", false},
		{"linux/arm64/v8", "linux/arm64", true},
		{"linux/arm64", "linux/arm64/v8", true},
		{"linux/arm", "linux/arm/v6", true},
		{"linux/arm/v7", "linux/arm", true}, // what is meant when nothing is said
		{"linux/arm/v7", "linux/arm/v6", false},
		{"linux/arm/v6", "linux/arm", false},
	} {
		wish, err := ParsePlatforms([]string{c.wish})
		if err != nil {
			t.Fatal(err)
		}
		has, err := ParsePlatforms([]string{c.has})
		if err != nil {
			t.Fatal(err)
		}
		if got := wish.Has(has[0]); got != c.want {
			t.Errorf("%s includes %s: %v", c.wish, c.has, got)
		}
	}
}

func TestWhichSelectionCoversWhich(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		there, wanted string
		want          bool
	}{
		{"linux/amd64", "linux/amd64", true},
		{"linux/amd64 linux/arm64", "linux/amd64", true},
		{"linux/amd64", "linux/amd64 linux/arm64", false},
		{"", "linux/amd64", true},
		{"linux/amd64", "", false},
		{"linux/arm", "linux/arm/v7", true},
		{"linux/arm/v7", "linux/arm", false},
	} {
		there, _ := ParsePlatforms(strings.Fields(c.there))
		wanted, _ := ParsePlatforms(strings.Fields(c.wanted))
		if got := there.Cover(wanted); got != c.want {
			t.Errorf("%q covers %q: %v", c.there, c.wanted, got)
		}
	}
}

func TestUnknownPlatformsAreNone(t *testing.T) {
	t.Parallel()
	for _, p := range []*ocispec.Platform{nil, {}, {OS: "linux"}, {OS: "unknown", Architecture: "unknown"}} {
		if got, known := PlatformOf(p); known {
			t.Errorf("%+v is %s", p, got)
		}
	}
}
