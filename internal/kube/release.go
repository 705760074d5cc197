package kube

// Packaging is how a Harbor was installed, which decides where its storage is changed.
type Packaging string

// The packagings.
const (
	// AlaudaResource: a Harbor resource of the Alauda operator, with the chart's values in
	// spec.helmValues.
	AlaudaResource Packaging = "alauda"
	// HelmRelease: the chart of goharbor, or one made from it, installed with Helm.
	HelmRelease Packaging = "helm"
	// HarborCluster: the resource of the dormant goharbor operator.
	HarborCluster Packaging = "harborcluster"
	// Manifests: Harbor's Deployments and nothing that says who made them, as when Argo CD
	// renders a chart.
	Manifests Packaging = "manifests"
)

// Release is a Harbor in a namespace.
type Release struct {
	Name      string    `json:"name"`
	Namespace string    `json:"namespace"`
	Packaging Packaging `json:"packaging"`
	FullName  string    `json:"full_name,omitempty"` // what the names of its Deployments begin with

	ChartVersion  string `json:"chart_version,omitempty"`
	HarborVersion string `json:"harbor_version,omitempty"`
	Revision      int    `json:"revision,omitempty"` // of the Helm release
	ExternalURL   string `json:"external_url,omitempty"`

	Registry Registry `json:"registry"`
	Storage  Storage  `json:"storage"` // where the registry keeps its images now
	Volume   Volume   `json:"volume"`
	Redis    Redis    `json:"redis"`

	// CASecret is the Secret with the authorities that all of Harbor trusts, and
	// StorageCASecret the one with those of the storage.
	CASecret        string `json:"ca_secret,omitempty"`
	StorageCASecret string `json:"storage_ca_secret,omitempty"`
	// ConfigLocked: settings come from CONFIG_OVERWRITE_JSON, and the API refuses to
	// change them, read-only mode too.
	ConfigLocked bool `json:"config_locked,omitempty"`

	Activity *Activity `json:"activity,omitempty"` // what Harbor says, if it was asked

	Obstacles []Obstacle `json:"obstacles"`
	Steps     []string   `json:"steps"` // what moving it takes, in order

	values map[string]any // of the chart, as the user gave them
}

// Values are the values of the chart that the user gave, nil where they are not known.
func (r *Release) Values() map[string]any { return r.values }

// Ready reports whether nothing stands in the way.
func (r *Release) Ready() bool {
	for _, o := range r.Obstacles {
		if o.Severity == Stops {
			return false
		}
	}
	return true
}

// Registry is the Deployment that serves the images.
type Registry struct {
	Deployment string   `json:"deployment,omitempty"`
	Image      string   `json:"image,omitempty"`
	Replicas   int64    `json:"replicas"`
	Strategy   string   `json:"strategy,omitempty"`
	Nodes      []string `json:"nodes,omitempty"` // that its pods run on

	selector                 map[string]any // of its pods
	tolerations, pullSecrets []any
}

// Storage is what the registry's configuration says.
type Storage struct {
	Driver        string `json:"driver,omitempty"` // filesystem, s3, ...
	RootDirectory string `json:"root_directory,omitempty"`
	Bucket        string `json:"bucket,omitempty"`
	Endpoint      string `json:"endpoint,omitempty"`
	Region        string `json:"region,omitempty"`
}

// VolumeKind is where a volume comes from.
type VolumeKind string

// The kinds of volumes.
const (
	ClaimVolume VolumeKind = "claim"    // a PersistentVolumeClaim
	HostVolume  VolumeKind = "hostPath" // a folder of a node
	EmptyVolume VolumeKind = "emptyDir" // gone with the pod
	OtherVolume VolumeKind = "other"
)

// Volume is where the registry's files are.
type Volume struct {
	Kind     VolumeKind `json:"kind,omitempty"`
	Claim    string     `json:"claim,omitempty"`
	HostPath string     `json:"host_path,omitempty"`
	SubPath  string     `json:"sub_path,omitempty"`
	Path     string     `json:"path,omitempty"` // below SubPath, the registry's root directory; "" if it is that itself

	AccessModes  []string `json:"access_modes,omitempty"`
	StorageClass string   `json:"storage_class,omitempty"`
	Capacity     string   `json:"capacity,omitempty"`
	Phase        string   `json:"phase,omitempty"`
	PV           string   `json:"pv,omitempty"`
	// Reclaim is what becomes of the PV without its claim; "" if it may not be looked at.
	Reclaim string `json:"reclaim_policy,omitempty"`
	// Kept: Helm leaves the claim alone when it is no longer in the chart's output.
	Kept bool `json:"kept"`
	// Managed: the claim comes from the chart, which leaves it out when the storage is
	// another.
	Managed bool `json:"managed"`
}

// Redis is where the registry caches what it knows of blobs.
type Redis struct {
	Address        string `json:"address,omitempty"` // HOST:PORT; of sentinels several, with commas
	Database       int    `json:"database"`
	SentinelMaster string `json:"sentinel_master,omitempty"`
	TLS            bool   `json:"tls,omitempty"`
	// PasswordSecret has the password as PasswordKey; "": there is none.
	PasswordSecret string `json:"password_secret,omitempty"`
	PasswordKey    string `json:"password_key,omitempty"`
}
