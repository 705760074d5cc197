package api

import (
	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/rule"
)

// extras reads what a rule asks for beyond Harbor's rules, but for the time zone of
// its trigger.
func extras(w gen.ReplicationPolicy) rule.Extras {
	e := rule.Extras{
		Platforms: w.Platforms, PlatformMode: rule.PlatformMode(w.PlatformMode), Accessories: rule.AccessoryMode(w.Accessories),
		IncludeExisting: w.IncludeExisting,
	}
	if s := w.Select; s != nil {
		e.Select = rule.Selection{
			Names: s.Names, ExcludeNames: s.ExcludeNames, NameRegexp: s.NameRegex, Tags: s.Tags, ExcludeTags: s.ExcludeTags,
			TagRegexp: s.TagRegex, Semver: s.Semver, Newest: s.Newest, PushedSince: s.PushedSince, ArtifactTypes: s.ArtifactTypes,
		}
	}
	if r := w.Rename; r != nil {
		e.Rename = rule.Rename{Regexp: r.Regex, Template: r.Template}
	}
	return e
}

// wireExtras adds to an answer what a rule has beyond Harbor's rules.
func wireExtras(w *gen.ReplicationPolicy, e rule.Extras) {
	w.Platforms, w.PlatformMode, w.Accessories = e.Platforms, string(e.PlatformMode), string(e.Accessories)
	w.IncludeExisting = e.IncludeExisting
	if s := e.Select; !s.IsZero() {
		w.Select = &gen.ReplicationSelection{
			Names: s.Names, ExcludeNames: s.ExcludeNames, NameRegex: s.NameRegexp, Tags: s.Tags, ExcludeTags: s.ExcludeTags,
			TagRegex: s.TagRegexp, Semver: s.Semver, Newest: s.Newest, PushedSince: s.PushedSince, ArtifactTypes: s.ArtifactTypes,
		}
	}
	if e.Rename != (rule.Rename{}) {
		w.Rename = &gen.ReplicationRename{Regex: e.Rename.Regexp, Template: e.Rename.Template}
	}
}
