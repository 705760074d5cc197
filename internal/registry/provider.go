package registry

import (
	"slices"
	"strings"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

// Provider types that others ask for by name. Every provider's own file has its word.
const (
	ProviderDockerRegistry = "docker-registry"
	ProviderHarbor         = "harbor"
)

// provider is a provider type: what a form shows of it, and how its adapter is made.
type provider struct {
	info ProviderInfo
	// open makes the adapter. It does no I/O; what is wrong with the endpoint is a
	// problem.BadRequest.
	open func(e Endpoint, o Options) (Adapter, error)
}

// providers are all there are. A new one is a file of its own and a line here.
func providers() []provider {
	return []provider{
		aliACRProvider(),
		artifactoryProvider(),
		awsECRProvider(),
		azureACRProvider(),
		dockerHubProvider(),
		dockerRegistryProvider(),
		dtrProvider(),
		githubGHCRProvider(),
		gitlabProvider(),
		googleGCRProvider(),
		harborProvider(),
		huaweiSWRProvider(),
		quayProvider(),
		tencentTCRProvider(),
		volcengineCRProvider(),
	}
}

// ProviderInfo is a provider type and what a form for its endpoints offers. The
// patterns are those of Harbor's adapterinfos; a provider without any is not in it.
type ProviderInfo struct {
	Type              string             `json:"-"`
	EndpointPattern   *EndpointPattern   `json:"endpoint_pattern,omitempty"`
	CredentialPattern *CredentialPattern `json:"credential_pattern,omitempty"`
	Described         bool               `json:"-"` // in adapterinfos although it has no pattern
}

// EndpointPattern lists the URLs that endpoints of a provider have.
type EndpointPattern struct {
	EndpointType string             `json:"endpoint_type"` // EndpointPatternTypeStandard, ...Fix or ...List
	Endpoints    []ProviderEndpoint `json:"endpoints"`
}

// ProviderEndpoint is one of them, with the name it is offered under.
type ProviderEndpoint struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// CredentialPattern says what a provider's credentials look like.
type CredentialPattern struct {
	AccessKeyType    string `json:"access_key_type"` // AccessKeyTypeStandard or AccessKeyTypeFix
	AccessKeyData    string `json:"access_key_data"`
	AccessSecretType string `json:"access_secret_type"` // AccessSecretTypePass or AccessSecretTypeFile
	AccessSecretData string `json:"access_secret_data"`
}

// Providers returns the provider types that endpoints may have, sorted.
func Providers() []ProviderInfo {
	var all []ProviderInfo
	for _, p := range providers() {
		all = append(all, p.info)
	}
	slices.SortFunc(all, func(a, b ProviderInfo) int { return strings.Compare(a.Type, b.Type) })
	return all
}

// ProviderTypes returns their names, sorted.
func ProviderTypes() []string {
	var names []string
	for _, p := range Providers() {
		names = append(names, p.Type)
	}
	return names
}

// CheckProvider says that a provider type is not known as a problem.BadRequest.
func CheckProvider(name string) error {
	_, err := findProvider(name)
	return err
}

func findProvider(name string) (provider, error) {
	for _, p := range providers() {
		if p.info.Type == name {
			return p, nil
		}
	}
	return provider{}, problem.New(problem.BadRequest, "unknown registry type %q: this version knows %s", name, strings.Join(ProviderTypes(), ", "))
}

// listed is the pattern of a provider whose URLs are known, each under a name.
func listed(kind string, endpoints ...ProviderEndpoint) *EndpointPattern {
	return &EndpointPattern{EndpointType: "EndpointPatternType" + kind, Endpoints: endpoints}
}

// Info is what rules with an endpoint of some provider can do, in the form of Harbor's
// registries/{id}/info.
type Info struct {
	Type                     string        `json:"type,omitempty"`
	Description              string        `json:"description,omitempty"`
	SupportedResourceFilters []FilterStyle `json:"supported_resource_filters"`
	SupportedTriggers        []string      `json:"supported_triggers"`
	SupportedCopyByChunk     bool          `json:"supported_copy_by_chunk,omitempty"`
}

// FilterStyle is a filter and how a form lets its value be chosen.
type FilterStyle struct {
	Type   string   `json:"type"`
	Style  string   `json:"style"`  // input, radio or list
	Values []string `json:"values"` // null: free text
}

// filterStyles are the filters of a source, with that of labels if it tells them.
func filterStyles(labels bool, resources ...string) []FilterStyle {
	styles := []FilterStyle{{Type: string(rule.FilterName), Style: "input"}, {Type: string(rule.FilterTag), Style: "input"}}
	if labels {
		styles = append(styles, FilterStyle{Type: string(rule.FilterLabel), Style: "list"})
	}
	return append(styles, FilterStyle{Type: string(rule.FilterResource), Style: "radio", Values: resources})
}

// Only what a rule may really use is offered: a form built from this never leads to a
// refusal (see rule.Unsupported).

func dockerRegistryInfo() Info {
	return Info{
		Type:                     ProviderDockerRegistry,
		SupportedResourceFilters: filterStyles(false, rule.ResourceImage),
		SupportedTriggers:        []string{string(rule.Manual), string(rule.Scheduled)},
	}
}

// plainInfo is that of a provider whose rules can do what those of a plain registry can.
func plainInfo(kind string) Info {
	info := dockerRegistryInfo()
	info.Type = kind
	return info
}

func harborInfo() Info {
	return Info{
		Type:                     ProviderHarbor,
		SupportedCopyByChunk:     true,
		SupportedResourceFilters: filterStyles(true, rule.ResourceImage, rule.ResourceArtifact),
		SupportedTriggers:        []string{string(rule.Manual), string(rule.Scheduled)},
	}
}

// HomeInfo is the Info of the home registry, id 0: it alone has events.
func HomeInfo() Info {
	info := harborInfo()
	info.SupportedTriggers = append(info.SupportedTriggers, string(rule.EventBased))
	return info
}
