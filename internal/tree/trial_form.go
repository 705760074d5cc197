package tree

import (
	"fmt"
	"regexp"
)

// verb is one of those that trials say what they have found with.
var verb = regexp.MustCompile(`%[.0-9]*[a-z]`)

// formOf takes a format and its arguments apart: into the form, which is the same whatever
// was found, and the values.
func formOf(format string, args []any) (form string, values []string) {
	for i, v := range verb.FindAllString(format, -1) {
		values = append(values, fmt.Sprintf(v, args[i]))
	}
	return verb.ReplaceAllString(format, "{}"), values
}

// saying returns the trial with what was found.
func (t Trial) saying(format string, args ...any) Trial {
	t.Found = fmt.Sprintf(format, args...)
	t.Form, t.Values = formOf(format, args)
	for i, value := range t.Values {
		t.Values[i] = oneLine(value)
	}
	return t
}

// findingError is a failure that a trial itself has put into words.
type findingError struct {
	format string
	args   []any
}

// finding is what a trial has found to be wrong, as an error.
func finding(format string, args ...any) error { return &findingError{format, args} }

func (e *findingError) Error() string { return fmt.Sprintf(e.format, e.args...) }

// failing returns the trial with the text of err.
func (t Trial) failing(err error) Trial {
	t.Err = err
	if f, ok := err.(*findingError); ok { //nolint:errorlint // what is wrapped has more words
		return t.saying(f.format, f.args...)
	}
	t.Found = err.Error()
	return t
}

// more appends to what was found.
func (t Trial) more(text string) Trial {
	t.Found += text
	t.Form += text
	return t
}

// atLeast is a number, or one that there is more of.
func atLeast(n int, cut bool) string {
	if cut {
		return fmt.Sprintf("≥ %d", n)
	}
	return fmt.Sprint(n)
}
