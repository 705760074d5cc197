package server

import (
	"context"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/migration/inspection"
	"github.com/lighterage/lighterage/internal/problem"
)

type looksOf []inspection.Inspection

func (l looksOf) List(context.Context) ([]inspection.Inspection, error) { return l, nil }

func TestNothingIsMovedWhileLinksAreMended(t *testing.T) {
	t.Parallel()
	mending := func(status inspection.Status, repair bool) inspection.Inspection {
		return inspection.Inspection{ID: 7, Status: status, Request: inspection.Request{Repair: repair}}
	}
	for _, c := range []struct {
		looks   looksOf
		refused bool
	}{
		{nil, false},
		{looksOf{mending(inspection.Succeeded, true), mending(inspection.Running, false)}, false},
		{looksOf{mending(inspection.Running, false), mending(inspection.Running, true)}, true},
		{looksOf{mending(inspection.Waiting, true)}, true},
		{looksOf{mending(inspection.Stopped, true)}, false},
	} {
		err := notMending(t.Context(), c.looks)
		if (err != nil) != c.refused || c.refused && (!problem.Is(err, problem.Conflict) || !strings.Contains(err.Error(), "look 7")) {
			t.Errorf("%+v: %v", c.looks, err)
		}
	}
}
