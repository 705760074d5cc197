package rule

// Extras are wishes that Harbor's rules do not have: its clients never send them, and
// without them a rule means what it means in Harbor. They are stored as JSON.
type Extras struct {
	// TimeZone is the IANA name of the zone that Cron is meant in; "" is UTC.
	TimeZone string `json:"time_zone,omitempty"`
	// Select narrows what the filters let through.
	Select Selection `json:"select,omitzero"`
	// Platforms are those of an index that are copied, such as linux/amd64 or
	// linux/arm/v7; none is all of them.
	Platforms []string `json:"platforms,omitempty"`
	// PlatformMode says what becomes of the index of which some platforms are left out.
	PlatformMode PlatformMode `json:"platform_mode,omitempty"`
	// Accessories says what becomes of signatures, SBOMs and other accessories.
	Accessories AccessoryMode `json:"accessories,omitempty"`
	// IncludeExisting has an event rule stand for what was at the source before it, too.
	IncludeExisting bool `json:"include_existing,omitempty"`
	// Rename gives destination repositories other names than DestNamespace does.
	Rename Rename `json:"rename,omitzero"`
}

// Selection is what Filters cannot say. All of its wishes that are set must be met; of
// a list of patterns one must match.
type Selection struct {
	Names         []string `json:"names,omitempty"`          // patterns of whole repository names
	ExcludeNames  []string `json:"exclude_names,omitempty"`  // patterns of repositories that are left out
	NameRegexp    string   `json:"name_regex,omitempty"`     // RE2, of the whole repository name
	Tags          []string `json:"tags,omitempty"`           // patterns
	ExcludeTags   []string `json:"exclude_tags,omitempty"`   // patterns
	TagRegexp     string   `json:"tag_regex,omitempty"`      // RE2, of the whole tag
	Semver        string   `json:"semver,omitempty"`         // range of versions that tags stand for, such as ">=1.2 <2"
	Newest        int      `json:"newest,omitempty"`         // of what is left in a repository, the so many tags pushed last; 0 is all
	PushedSince   string   `json:"pushed_since,omitempty"`   // a time (RFC 3339), a day (2026-01-31) or an age (36h, 30d)
	ArtifactTypes []string `json:"artifact_types,omitempty"` // IMAGE, CHART, ... or media types
}

// IsZero reports whether the selection wishes nothing. A list without entries is no wish.
func (s Selection) IsZero() bool {
	lists := len(s.Names) + len(s.ExcludeNames) + len(s.Tags) + len(s.ExcludeTags) + len(s.ArtifactTypes)
	return lists == 0 && s.NameRegexp+s.TagRegexp+s.Semver+s.PushedSince == "" && s.Newest == 0
}

// PlatformMode says what becomes of an index of which some platforms are left out.
type PlatformMode string

// The modes. The empty one is PlatformSparse.
const (
	PlatformSparse  PlatformMode = "sparse"  // the index is copied as it is, with its digest; what it names is missing
	PlatformRewrite PlatformMode = "rewrite" // an index of the platforms that are left, with a digest of its own
)

// AccessoryMode says what becomes of accessories.
type AccessoryMode string

// The modes. The empty one is AccessoriesAll.
const (
	AccessoriesAll        AccessoryMode = "all"         // they go with what they belong to
	AccessoriesNone       AccessoryMode = "none"        // they are left behind
	AccessoriesSignedOnly AccessoryMode = "signed_only" // as all, and what has no signature is not copied
)

// Rename gives a destination repository its name by a template.
type Rename struct {
	// Regexp (RE2) must match the whole name of the source repository; one that it does
	// not match cannot be replicated. What it captures is used in Template as $1 or
	// ${name}. "" matches everything.
	Regexp string `json:"regex,omitempty"`
	// Template is the name at the destination. In it {repository} is the source's whole
	// name, {project} its first component, {path} the others and {name} the last one.
	Template string `json:"template,omitempty"`
}
