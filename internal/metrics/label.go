package metrics

import (
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// other stands for all that are not told apart any more.
const other = "(other)"

// known bounds the values of a label: those that came first keep their names.
// Prometheus keeps a series for each value for as long as its history goes back.
type known struct {
	most int

	mu     sync.Mutex
	values map[string]bool
}

func newKnown(most int) *known { return &known{most: most, values: map[string]bool{}} }

func (k *known) value(text string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.values[text] {
		return text
	}
	if len(k.values) >= k.most {
		return other
	}
	k.values[text] = true
	return text
}

// forget makes room for another value.
func (k *known) forget(text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.values, text)
}

// list returns the values.
func (k *known) list() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]string, 0, len(k.values))
	for v := range k.values {
		all = append(all, v)
	}
	return all
}

// nameOf reads the name out of a description, which tells it in its text only.
func nameOf(d *prometheus.Desc) string {
	_, rest, _ := strings.Cut(d.String(), `fqName: "`)
	name, _, _ := strings.Cut(rest, `"`)
	return name
}
