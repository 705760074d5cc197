package console_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/lighterage/lighterage/internal/audit"
)

// namesOf are the keys of an object of texts.
func namesOf(t *testing.T, source, object string) []string {
	t.Helper()
	found := regexp.MustCompile(`(?s)\n  ` + object + `: \{(.*?)\n  \}`).FindStringSubmatch(source)
	if found == nil {
		t.Fatalf("there are no %s", object)
	}
	var names []string
	for _, key := range regexp.MustCompile(`(\w+): "`).FindAllStringSubmatch(found[1], -1) {
		names = append(names, key[1])
	}
	slices.Sort(names)
	return names
}

func TestTheConsoleNamesWhatTheAuditLogHasInBothLanguages(t *testing.T) {
	t.Parallel()
	var types, operations []string
	for _, kind := range audit.Kinds() {
		types, operations = append(types, kind.Type()), append(operations, kind.Operation())
	}
	for _, wanted := range []*[]string{&types, &operations} {
		slices.Sort(*wanted)
		*wanted = slices.Compact(*wanted)
	}
	for _, language := range []string{"en", "zh"} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("..", "..", "web", "src", "words", language, "logs.ts"))
			if err != nil {
				t.Fatal(err)
			}
			if got := namesOf(t, string(text), "types"); !slices.Equal(got, types) {
				t.Errorf("types of resources: %v, want %v", got, types)
			}
			if got := namesOf(t, string(text), "operations"); !slices.Equal(got, operations) {
				t.Errorf("operations: %v, want %v", got, operations)
			}
		})
	}
}
