package rule

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar"

	"github.com/lighterage/lighterage/internal/problem"
)

// Limits of a pattern. A rule's patterns are tried on every name of a registry,
// and each combination of alternatives is tried for itself.
const (
	maxPatternLength = 1024
	maxAlternatives  = 1000
)

// MatchPattern reports whether the whole of s matches the pattern. The language
// is that of doublestar v1, as in Harbor:
//
//   - any characters but /
//     **       as a whole path component: any number of components
//     ?        one character but /
//     [a-c]    one of the characters, [^a-c] one that is not
//     {a,b}    one of the alternatives
//     \x       the character x
//
// The empty pattern matches everything. The error is that of ValidatePattern.
func MatchPattern(pattern, s string) (bool, error) {
	if pattern == "" {
		return true, nil
	}
	matched, err := doublestar.Match(pattern, s)
	if err == nil {
		return matched, nil
	}
	if err := ValidatePattern(pattern); err != nil {
		return false, err
	}
	// The library stumbles over a / inside of braces when a name ends before
	// them (app{,/**} and app), though it knows what each alternative means.
	for _, p := range expand(pattern) {
		if matched, err := doublestar.Match(p, s); matched || err != nil {
			return matched, err
		}
	}
	return false, nil
}

// ValidatePattern reports why a pattern cannot be used. The library that matches
// notices a mistake only when a name leads it there; this looks at the whole
// pattern, so that one that passes never fails later.
func ValidatePattern(pattern string) error {
	if err := checkPattern(pattern); err != nil {
		return problem.New(problem.BadRequest, "invalid pattern %q: %v", pattern, err)
	}
	return nil
}

func checkPattern(pattern string) error {
	if len(pattern) > maxPatternLength {
		return fmt.Errorf("longer than %d characters", maxPatternLength)
	}
	if !utf8.ValidString(pattern) || strings.ContainsRune(pattern, utf8.RuneError) {
		return errors.New("not valid UTF-8")
	}
	n, err := countAlternatives(pattern)
	if err == nil && n > maxAlternatives {
		err = fmt.Errorf("more than %d combinations of alternatives", maxAlternatives)
	}
	return err
}

// countAlternatives checks the syntax and returns how many patterns without
// braces this one stands for. The number stops growing beyond maxAlternatives.
func countAlternatives(pattern string) (int, error) {
	total := 1
	for i := 0; i < len(pattern); {
		switch pattern[i] {
		case '\\':
			if i+1 == len(pattern) {
				return 0, errors.New(`nothing follows the last \`)
			}
			_, width := utf8.DecodeRuneInString(pattern[i+1:])
			i += 1 + width
		case '[':
			length := classLength(pattern[i+1:])
			if length < 0 {
				return 0, errors.New("a [ has no matching ]")
			}
			if err := checkClass([]rune(pattern[i+1 : i+1+length])); err != nil {
				return 0, err
			}
			i += length + 2
		case '{':
			options, length := splitAlternatives(pattern[i+1:])
			if length < 0 {
				return 0, errors.New("a { has no matching }")
			}
			sum := 0
			for _, o := range options {
				n, err := countAlternatives(o)
				if err != nil {
					return 0, err
				}
				sum += n
			}
			total = min(total*sum, maxAlternatives+1)
			i += 1 + length
		default:
			i++
		}
	}
	return total, nil
}

// classLength returns where the ] is that ends a character class, -1 if nowhere.
// As in the library, one after a backslash is part of the class, whatever stands
// before the backslash.
func classLength(s string) int {
	start := 0
	for {
		end := strings.IndexByte(s[start:], ']')
		switch {
		case end < 0:
			return -1
		case end > 0 && s[start+end-1] == '\\':
			start += end + 1
		default:
			return start + end
		}
	}
}

// checkClass checks what stands between [ and ].
func checkClass(class []rune) error {
	if len(class) == 0 {
		return errors.New("[] is empty")
	}
	if class[0] == '^' {
		class = class[1:]
	}
	bound := func() error {
		if len(class) == 0 || class[0] == '-' {
			return errors.New("a - between [ and ] needs a character on both sides")
		}
		if class[0] == '\\' {
			class = class[1:]
			if len(class) == 0 {
				return errors.New(`nothing follows a \ between [ and ]`)
			}
		}
		class = class[1:]
		return nil
	}
	for len(class) > 0 {
		if err := bound(); err != nil {
			return err
		}
		if len(class) > 0 && class[0] == '-' {
			class = class[1:]
			if err := bound(); err != nil {
				return err
			}
		}
	}
	return nil
}

// splitAlternatives splits what follows a { at the commas of this level. length
// counts the bytes up to and with the matching }, -1 if there is none. Inside of
// braces [ and ] do not protect a comma or a brace.
func splitAlternatives(s string) (options []string, length int) {
	depth, start := 1, 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return append(options, s[start:i]), i + 1
			}
		case ',':
			if depth == 1 {
				options = append(options, s[start:i])
				start = i + 1
			}
		}
	}
	return nil, -1
}

// expand returns the patterns without braces that a valid one stands for.
func expand(pattern string) []string {
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '\\':
			i++
		case '[':
			i += classLength(pattern[i+1:]) + 1
		case '{':
			options, length := splitAlternatives(pattern[i+1:])
			var all []string
			for _, o := range options {
				all = append(all, expand(pattern[:i]+o+pattern[i+1+length:])...)
			}
			return all
		}
	}
	return []string{pattern}
}

// literals returns the strings that a valid pattern matches when it can be told
// by reading it: when it has no wildcards.
func literals(pattern string) (all []string, ok bool) {
	if pattern == "" || strings.ContainsAny(pattern, `*?[\`) {
		return nil, false
	}
	return expand(pattern), true
}
