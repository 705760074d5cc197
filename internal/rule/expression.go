package rule

import (
	"fmt"
	"regexp"
)

// expression is a regular expression (RE2) that must match the whole of a text. A nil
// one matches everything.
type expression struct {
	whole   *regexp.Regexp
	literal string // the only text that it matches, "" if there may be others
}

// compileExpression returns nil for "".
func compileExpression(text string) (*expression, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxRegexpLength {
		return nil, fmt.Errorf("longer than %d characters", maxRegexpLength)
	}
	alone, err := regexp.Compile(text) // a stray ) must not close the group around it
	if err != nil {
		return nil, err
	}
	whole, err := regexp.Compile(`^(?:` + text + `)$`)
	if err != nil {
		return nil, err
	}
	e := &expression{whole: whole}
	if prefix, complete := alone.LiteralPrefix(); complete {
		e.literal = prefix
	}
	return e, nil
}

func (e *expression) matches(s string) bool { return e == nil || e.whole.MatchString(s) }

// literals is the function of the same name for a regular expression.
func (e *expression) literals() (all []string, ok bool) {
	if e == nil || e.literal == "" {
		return nil, false
	}
	return []string{e.literal}, true
}
