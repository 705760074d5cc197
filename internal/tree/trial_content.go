package tree

import (
	"context"
	"fmt"
	"strings"

	"github.com/lighterage/lighterage/internal/layout"
)

// contentSurvey is what is in a place that a registry is to get.
type contentSurvey struct {
	blobs, links int
	journal      bool // a copy of ours has been here
	markers      []string
	strangers    []string // files below the registry's folder that are not the registry's
	manyMarkers  int
	manyStranger int
	besides      int // what is beside the registry's folder and ours
	cut          bool
}

// most is how many names are kept for a message.
const surveyNames = 5

func (c *contentSurvey) marker(name string) {
	if c.manyMarkers++; len(c.markers) < surveyNames {
		c.markers = append(c.markers, name)
	}
}

func (c *contentSurvey) stranger(name string) {
	if c.manyStranger++; len(c.strangers) < surveyNames {
		c.strangers = append(c.strangers, name)
	}
}

// surveyFolders are looked into.
var surveyFolders = []string{ownFolder, "docker/"}

// surveyContent lists the registry's folder and ours, up to a number of objects each.
func surveyContent(ctx context.Context, tree Tree, most int) (contentSurvey, error) {
	var c contentSurvey
	for _, folder := range surveyFolders {
		n := 0
		for o, err := range tree.List(ctx, ListOptions{Prefix: folder, Implied: true, Uploads: true}) {
			if err != nil {
				return c, err
			}
			if n++; n > most {
				c.cut = true
				break
			}
			c.see(o.Name)
		}
	}
	return c, nil
}

func (c *contentSurvey) see(name string) {
	switch file := layout.Parse(name); {
	case strings.HasSuffix(name, "/"):
		c.marker(name)
	case strings.HasPrefix(name, ownFolder):
		c.journal = c.journal || !strings.HasPrefix(name, trialFolder) && !strings.HasPrefix(name, ownFolder+"probe-")
	case file.Kind == layout.Blob:
		c.blobs++
	case file.IsLink():
		c.links++
	case file.Kind == layout.Foreign:
		c.stranger(name)
	}
}

// trials tell what was seen.
func (c *contentSurvey) trials() []Trial {
	content := Trial{Kind: TrialContent, Value: "empty"}.saying("nothing of a registry")
	if c.blobs+c.links > 0 {
		content = content.saying("a registry: %s blobs and %s links", atLeast(c.blobs, c.cut), atLeast(c.links, c.cut))
		content.Value = "registry"
		if c.journal {
			content = content.more(", with the journal of an earlier copy")
			content.Value = "copy"
		} else {
			content.Result = TrialDiffers
		}
	} else if c.journal {
		content = content.saying("the journal of an earlier copy, and nothing of a registry")
		content.Value = "copy"
	}
	if c.besides > 0 {
		content = content.more("; other things are beside it")
	}
	return []Trial{
		content,
		named(TrialMarkers, c.cut, c.manyMarkers, c.markers),
		named(TrialStrangers, c.cut, c.manyStranger, c.strangers),
	}
}

func named(kind TrialKind, cut bool, n int, names []string) Trial {
	if n == 0 {
		return Trial{Kind: kind}.saying("none")
	}
	text := strings.Join(names, ", ")
	if n > len(names) {
		text += fmt.Sprintf(" and %d more", n-len(names))
	}
	return Trial{Kind: kind, Result: TrialDiffers}.saying("%s: %s", atLeast(n, cut), text)
}
