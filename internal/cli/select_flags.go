package cli

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/rule"
)

// selectFlags are what a rule selects beyond Harbor's filters, and what it calls things
// at the destination.
type selectFlags struct {
	rule.Selection
	rule.Rename
	accessories string // a rule.AccessoryMode
	platforms   []string
	mode        string // a rule.PlatformMode
}

func (f *selectFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.Names, "include-name", nil, "pattern of repository names, of which one must match; may be given more than once")
	flags.StringArrayVar(&f.ExcludeNames, "exclude-name", nil, "pattern of repositories to leave out; may be given more than once")
	flags.StringVar(&f.NameRegexp, "name-regex", "", "regular expression (RE2) of whole repository names")
	flags.StringArrayVar(&f.Tags, "include-tag", nil, "pattern of tags, of which one must match; may be given more than once")
	flags.StringArrayVar(&f.ExcludeTags, "exclude-tag", nil, "pattern of tags to leave out; may be given more than once")
	flags.StringVar(&f.TagRegexp, "tag-regex", "", "regular expression (RE2) of whole tags")
	flags.StringVar(&f.Semver, "semver", "", "range of versions: '>=1.2 <2', '^1.4', '~2.0'; other tags are left out")
	flags.IntVar(&f.Newest, "newest", 0, "of each repository, the so many tags pushed last of what is left (default all)")
	flags.StringVar(&f.PushedSince, "pushed-since", "", "what was pushed since a time or day (2026-01-31) or within an age (36h, 30d)")
	flags.StringArrayVar(&f.ArtifactTypes, "artifact-type", nil, "IMAGE, CHART, ... or a media type; may be given more than once")
	f.accessories = string(rule.AccessoriesAll)
	flags.Var(&choice{&f.accessories, accessoryWords}, "accessories", "signatures, SBOMs and the like: all go with what they belong to, or none; signed_only: all, of what has a signature, and nothing else is copied")
	flags.StringSliceVar(&f.platforms, "platform", nil, "platform such as linux/amd64 that is copied of images that have several; may be given more than once (default all)")
	f.mode = string(rule.PlatformSparse)
	flags.Var(&choice{&f.mode, platformModes}, "platform-mode", "sparse: the index of such an image keeps its digest, and what it lists is missing; rewrite: a smaller one is made")
	flags.StringVar(&f.Template, "rename", "", "name at the destination: 'mirror/{path}'; {repository}, {project}, {path} and {name} are the source's")
	flags.StringVar(&f.Regexp, "rename-regex", "", "regular expression that whole repository names must match, for $1 or ${name} in --rename")
}

var accessoryWords = []string{string(rule.AccessoriesAll), string(rule.AccessoriesNone), string(rule.AccessoriesSignedOnly)}

var platformModes = []string{string(rule.PlatformSparse), string(rule.PlatformRewrite)}

// fill puts the flags that were given into a rule. An empty value takes a wish away.
func (f *selectFlags) fill(flags *pflag.FlagSet, p *gen.ReplicationPolicy) {
	s, n := gen.ReplicationSelection{}, gen.ReplicationRename{}
	if p.Select != nil {
		s = *p.Select
	}
	if p.Rename != nil {
		n = *p.Rename
	}
	list := func(flag string, field *[]string, values []string) {
		if flags.Changed(flag) {
			*field = values
			if len(values) == 1 && values[0] == "" {
				*field = nil
			}
		}
	}
	text := func(flag string, field *string, value string) {
		if flags.Changed(flag) {
			*field = value
		}
	}
	list("include-name", &s.Names, f.Names)
	list("exclude-name", &s.ExcludeNames, f.ExcludeNames)
	text("name-regex", &s.NameRegex, f.NameRegexp)
	list("include-tag", &s.Tags, f.Tags)
	list("exclude-tag", &s.ExcludeTags, f.ExcludeTags)
	text("tag-regex", &s.TagRegex, f.TagRegexp)
	text("semver", &s.Semver, f.Semver)
	if flags.Changed("newest") {
		s.Newest = f.Newest
	}
	text("pushed-since", &s.PushedSince, f.PushedSince)
	list("artifact-type", &s.ArtifactTypes, f.ArtifactTypes)
	text("accessories", &p.Accessories, f.accessories)
	list("platform", &p.Platforms, f.platforms)
	text("platform-mode", &p.PlatformMode, f.mode)
	if len(p.Platforms) == 0 && flags.Changed("platform") && !flags.Changed("platform-mode") {
		p.PlatformMode = "" // how platforms are left out means nothing any more
	}
	text("rename", &n.Template, f.Template)
	text("rename-regex", &n.Regex, f.Regexp)
	p.Select, p.Rename = &s, &n
	if selection(p).IsZero() {
		p.Select = nil
	}
	if n == (gen.ReplicationRename{}) {
		p.Rename = nil
	}
}

// selection is what a rule of the API selects beyond its filters.
func selection(p *gen.ReplicationPolicy) rule.Selection {
	s := p.Select
	if s == nil {
		return rule.Selection{}
	}
	return rule.Selection{
		Names: s.Names, ExcludeNames: s.ExcludeNames, NameRegexp: s.NameRegex, Tags: s.Tags, ExcludeTags: s.ExcludeTags,
		TagRegexp: s.TagRegex, Semver: s.Semver, Newest: s.Newest, PushedSince: s.PushedSince, ArtifactTypes: s.ArtifactTypes,
	}
}

// selectionText puts a selection into words, "" if it wishes nothing.
func selectionText(s rule.Selection) string {
	if s.IsZero() {
		return ""
	}
	return rule.Describe(rule.Rule{Extras: rule.Extras{Select: s}})
}

// renameText is how a rule names repositories, "" if it has no names of its own.
func renameText(n *gen.ReplicationRename) string {
	if n == nil {
		return ""
	}
	return strings.TrimPrefix(n.Regex+" -> "+n.Template, " -> ")
}

// platformText says which platforms of images a rule copies, "" for all.
func platformText(p *gen.ReplicationPolicy) string {
	text := strings.Join(p.Platforms, ", ")
	if text != "" && p.PlatformMode == string(rule.PlatformRewrite) {
		text += ", as a smaller index"
	}
	return text
}
