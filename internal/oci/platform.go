package oci

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Platform is what an image is made for. Without a variant it stands for all of them.
type Platform struct{ OS, Architecture, Variant string }

// String returns the platform as people write it: linux/arm/v7.
func (p Platform) String() string {
	text := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		text += "/" + p.Variant
	}
	return text
}

// Platforms are those that somebody wants, in a certain order and each once. None of them: all.
type Platforms []Platform

// ParsePlatforms reads platforms such as linux/amd64 and linux/arm/v7. Other names for
// the same, such as x86_64 and arm64/v8, become one.
func ParsePlatforms(names []string) (Platforms, error) {
	var all Platforms
	for _, name := range names {
		parts := strings.Split(strings.ToLower(name), "/")
		if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
			return nil, fmt.Errorf("%q is no platform such as linux/amd64 or linux/arm/v7", name)
		}
		p := Platform{OS: parts[0], Architecture: parts[1]}
		if len(parts) == 3 {
			p.Variant = parts[2]
		}
		all = append(all, p.normal())
	}
	return all.Distinct(), nil
}

// Distinct brings platforms into their order, each once.
func (all Platforms) Distinct() Platforms {
	slices.SortFunc(all, func(a, b Platform) int {
		return cmp.Or(cmp.Compare(a.OS, b.OS), cmp.Compare(a.Architecture, b.Architecture), cmp.Compare(a.Variant, b.Variant))
	})
	return slices.Compact(all)
}

// normal writes a platform in the one way of several in which tools write it.
func (p Platform) normal() Platform {
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "i386":
		p.Architecture = "386"
	case "armhf":
		p.Architecture, p.Variant = "arm", "v7"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	}
	if p.Variant != "" && p.Variant[0] >= '0' && p.Variant[0] <= '9' {
		p.Variant = "v" + p.Variant
	}
	// The first variants of these are the plain architectures.
	if p.Architecture == "arm64" && p.Variant == "v8" || p.Architecture == "amd64" && p.Variant == "v1" {
		p.Variant = ""
	}
	return p
}

// PlatformOf reads the platform that an index or a config names. It reports false when
// it names none: unknown/unknown is how some write that.
func PlatformOf(d *ocispec.Platform) (Platform, bool) {
	if d == nil || d.OS == "" || d.Architecture == "" || d.OS == "unknown" || d.Architecture == "unknown" {
		return Platform{}, false
	}
	return Platform{plain(d.OS), plain(d.Architecture), plain(d.Variant)}.normal(), true
}

// plain makes foreign text fit for sentences, and for PostgreSQL, which takes no U+0000.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return unicode.ToLower(r)
	}, text)
}

// Has reports whether a platform is among them.
func (all Platforms) Has(p Platform) bool {
	return len(all) == 0 || slices.ContainsFunc(all, func(wanted Platform) bool { return wanted.includes(p) })
}

// includes reports whether who wants the one wants the other. The variant of arm is v7
// if nothing is said, and of arm64 v8, which normal has taken away.
func (p Platform) includes(other Platform) bool {
	if p.OS != other.OS || p.Architecture != other.Architecture {
		return false
	}
	if p.Variant == "" || p.Variant == other.Variant {
		return true
	}
	return p.Architecture == "arm" && other.Variant == "" && p.Variant == "v7"
}

// Cover reports whether who has these has the others too.
func (all Platforms) Cover(others Platforms) bool {
	if len(all) == 0 {
		return true
	}
	covered := func(wish Platform) bool {
		return slices.ContainsFunc(all, func(p Platform) bool {
			return p == wish || p == Platform{OS: wish.OS, Architecture: wish.Architecture}
		})
	}
	return len(others) > 0 && !slices.ContainsFunc(others, func(wish Platform) bool { return !covered(wish) })
}

// String returns the platforms separated by commas. It is the same for the same ones.
func (all Platforms) String() string { return joinPlatforms(all, ",") }

// InWords returns the platforms for a sentence, of many the first few.
func (all Platforms) InWords() string {
	const shown = 8
	if len(all) <= shown {
		return joinPlatforms(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", joinPlatforms(all[:shown], ", "), len(all)-shown)
}

func joinPlatforms(all Platforms, separator string) string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.String()
	}
	return strings.Join(names, separator)
}
