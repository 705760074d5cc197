package migration

import "github.com/lighterage/lighterage/internal/tree"

// rowWord is what a row says beside what was found.
type rowWord struct {
	kind    tree.TrialKind
	means   string // for a registry
	advice  string // where it is not as it should be
	setting string // of Harbor's chart
	reasons map[tree.TrialReason]reasonWord
}

// reasonWord is what a row says instead for a certain cause; what is "" stays.
type reasonWord struct{ advice, means, setting string }

func wordsOf(kind tree.TrialKind) (rowWord, bool) {
	for _, words := range rowWords {
		if words.kind == kind {
			return words, true
		}
	}
	return rowWord{}, false
}

const (
	endpointSetting = "s3.regionendpoint"
	bundleSetting   = "caBundleSecretName; also caBundleSecretName at the top of the values if redirects stay on"
	secretSetting   = "s3.existingSecret with REGISTRY_STORAGE_S3_ACCESSKEY and REGISTRY_STORAGE_S3_SECRETKEY"
	reasonHandsOn   = "hands on"
	foundHandsOn    = "not needed: the registry hands everything on itself"
	notRedirected   = "This registry reads the store itself and redirects nobody to it: who pulls need not reach the store, nor trust its certificate."
	askStore        = "Ask whoever runs the store: it does not do what S3 does."
)

// rowWords are in the order of the rows. What they say of the registry is from its
// S3 driver (distribution, registry/storage/driver/s3-aws), and of the settings from
// Harbor's chart (harbor-helm, values.yaml and templates/registry).
var rowWords = []rowWord{
	{kind: tree.TrialReach, setting: endpointSetting,
		means:  "The registry and the copy have to reach the store.",
		advice: "Look whether the store runs, and at firewalls and network policies on the way; try again from the registry's own namespace.",
		reasons: map[tree.TrialReason]reasonWord{
			tree.ReasonName:    {advice: "Look at the endpoint's spelling. Within a cluster a service is SERVICE.NAMESPACE.svc."},
			tree.ReasonPlain:   {advice: "Plain HTTP is spoken there: begin the endpoint with http://."},
			tree.ReasonTLS:     {advice: "HTTPS is spoken there: begin the endpoint with https://."},
			tree.ReasonForeign: {advice: "What answers is no S3 store, perhaps its console or a proxy: name the address of its API."},
		}},
	{kind: tree.TrialCertificate, setting: bundleSetting,
		means:  "The registry refuses a store whose certificate it cannot verify.",
		advice: "Look at the store's certificate.",
		reasons: map[tree.TrialReason]reasonWord{
			tree.ReasonAuthority:  {advice: "Name the certificate of its authority, here with ca=FILE, and for Harbor in a Secret under ca.crt."},
			tree.ReasonHost:       {advice: "Use a name that the certificate is for, or give the store a certificate for this one.", setting: endpointSetting},
			tree.ReasonExpired:    {advice: "Renew the store's certificate, and look at this machine's clock."},
			tree.ReasonExpires:    {advice: "Renew the store's certificate before the registry depends on it."},
			tree.ReasonUnverified: {advice: "Better name the authority with ca=FILE. A registry that is not to verify either needs s3.skipverify: true and s3.secure: true.", means: "Whoever can get between the registry and the store can read and change images."},
			tree.ReasonOwn:        {advice: "Give the registry the same authority.", means: "The registry has to be given this authority, too."},
		}},
	{kind: tree.TrialClock,
		means:  "A store refuses requests that are more than 15 minutes early or late.",
		advice: "Set the clocks, of the nodes that the registry runs on as well."},
	{kind: tree.TrialCredentials, setting: secretSetting,
		means:  "The registry signs each request with its keys.",
		advice: "Look at the keys.",
		reasons: map[tree.TrialReason]reasonWord{
			tree.ReasonKey:       {advice: "The store does not know the access key: look at it, and whether it is one of this store."},
			tree.ReasonToken:     {advice: "Take keys that do not expire: a registry cannot renew a session token.", means: "Keys with a session token are good for some hours only."},
			tree.ReasonSignature: {advice: "Look at the secret key; if it is right, something on the way changes requests, such as a proxy that rewrites the host."},
			tree.ReasonVersion:   {advice: "The store knows only signatures of version 2. The registry can make them, and this program cannot: bring the store up to date.", setting: "REGISTRY_STORAGE_S3_V4AUTH=false in the Secret"},
		}},
	{kind: tree.TrialRegion, setting: "s3.region",
		means:  "Requests are signed for a region. Harbor's registry wants one always, and its chart says us-west-1 where nothing is said.",
		advice: "Give the bucket's region."},
	{kind: tree.TrialBucket, setting: "s3.bucket",
		means:  "The registry does not make its bucket.",
		advice: "Look at the bucket's name and the endpoint.",
		reasons: map[tree.TrialReason]reasonWord{
			tree.ReasonMissing:   {advice: "Make the bucket, or look at its name and the endpoint."},
			tree.ReasonElsewhere: {advice: "The bucket is behind another endpoint: use that of its region.", setting: endpointSetting},
		}},
	{kind: tree.TrialList,
		means:  "The registry lists to find files, tags and repositories: without it nothing can be pulled.",
		advice: askStore},
	{kind: tree.TrialAddressing, setting: "REGISTRY_STORAGE_S3_FORCEPATHSTYLE=true in the Secret, for release 3 of the registry",
		means:  "The bucket is in the path or in the host of an address. Harbor's registry uses the path wherever an endpoint is set.",
		advice: "Harbor's registry (release 2.8) cannot use this store with s3.regionendpoint set: use an endpoint that takes path style. Release 3 can."},
	{kind: tree.TrialVersioning,
		means:  "Where objects have versions, what is deleted or overwritten stays and takes space: garbage collection frees nothing.",
		advice: "Suspend versioning, or have a lifecycle rule delete noncurrent versions after some days."},
	{kind: tree.TrialLock,
		means:  "Where objects are locked the registry cannot remove uploads, tags and garbage.",
		advice: "Nothing to do as long as no retention is set.",
		reasons: map[tree.TrialReason]reasonWord{
			tree.ReasonRetention: {advice: "Use a bucket without object lock, or remove its default retention. Nothing was tried out that would have stayed."},
		}},
	{kind: tree.TrialLifecycle,
		means:  "A registry does not know that objects can go away by themselves: images would break.",
		advice: "Look at the bucket's lifecycle rules.",
		reasons: map[tree.TrialReason]reasonWord{
			tree.ReasonExpiration: {advice: "Take the registry's prefix out of this rule, or use another bucket."},
			tree.ReasonTransition: {advice: "Take the registry's prefix out of this rule if the class has to be restored from before it can be read.", means: "Objects in an archive cannot be pulled."},
		}},
	{kind: tree.TrialContent, setting: "s3.rootdirectory",
		means:  "A copy adds to what is there, and goes on with what an earlier copy brought.",
		advice: "If this is not the same registry, name another prefix: the images of both would be mixed."},
	{kind: tree.TrialMarkers,
		means:  "The registry takes a key that ends with a slash for a file without a name: tags with an empty name show up, and purging uploads fails.",
		advice: "Delete these keys; whatever made them (a console, a sync tool) is to make no more."},
	{kind: tree.TrialStrangers,
		means:  "They are no files of a registry. A copy leaves them alone.",
		advice: "Look what they are: \"lighterage migrate fsck\" names all of them."},
	{kind: tree.TrialPut,
		means:  "Everything that is pushed is stored so.",
		advice: askStore},
	{kind: tree.TrialACL, setting: "REGISTRY_STORAGE_S3_OBJECTACL in the Secret",
		means:  "The registry says x-amz-acl: private of each object, and cannot leave it out.",
		advice: "Switch ACLs on for the bucket (object ownership: bucket owner preferred), or have the store ignore the header. For the copy, acl=none leaves it out."},
	{kind: tree.TrialClass, setting: "s3.storageclass: NONE",
		means:  "The registry names the storage class STANDARD where none is set.",
		advice: "Set the class to NONE, here with storage_class=NONE, or to one that the store knows."},
	{kind: tree.TrialEncryption, setting: "s3.encrypt, s3.keyid",
		means:  "The registry asks the store to encrypt each object.",
		advice: "Leave encrypt out, or set up encryption in the store.",
		reasons: map[tree.TrialReason]reasonWord{
			tree.ReasonKMS:     {advice: "Look at the key's name, and whether these credentials may use it."},
			tree.ReasonIgnored: {advice: "Look whether the store encrypts anyway."},
		}},
	{kind: tree.TrialGet,
		means:  "Everything that is pulled is read so.",
		advice: askStore,
		reasons: map[tree.TrialReason]reasonWord{
			tree.ReasonBytes: {advice: "Do not use this store: it does not keep what it was given."},
		}},
	{kind: tree.TrialRange,
		means:  "Pulls that were interrupted go on in the middle.",
		advice: askStore},
	{kind: tree.TrialHead,
		means:  "Before each push the registry asks for what is not there, and has to be told so.",
		advice: askStore,
		reasons: map[tree.TrialReason]reasonWord{
			tree.ReasonForbidden: {means: "A store that may not list answers 403 where nothing is, and the registry takes that for a failure."},
		}},
	{kind: tree.TrialOverwrite,
		means:  "When a tag is moved its file is overwritten, and read at once.",
		advice: askStore,
		reasons: map[tree.TrialReason]reasonWord{
			tree.ReasonStale: {advice: "Look for a cache before the store. A registry would serve old images after a push."},
		}},
	{kind: tree.TrialPayload,
		means:  "A store that compares what it gets with the digest in the request proves each blob as it is copied.",
		advice: "Nothing to change: the copy hashes what it sends and compares what the store says of it. Run \"lighterage migrate check --deep\" afterwards."},
	{kind: tree.TrialChecksums,
		means:  "By the checksums that the store tells it is checked without reading everything back.",
		advice: "Nothing to change: \"lighterage migrate check\" reads back what it has no proof of, which takes longer."},
	{kind: tree.TrialCreateOnly,
		means: "Neither the registry nor a copy needs it."},
	{kind: tree.TrialMultipart,
		means:  "Each layer that is pushed is an upload in parts.",
		advice: askStore},
	{kind: tree.TrialListParts,
		means:  "A push that comes in several requests goes on with the parts that are there.",
		advice: askStore},
	{kind: tree.TrialListUploads,
		means:  "A push that comes in several requests finds its upload so.",
		advice: askStore},
	{kind: tree.TrialUneven,
		means:  "A client that pushes a layer in chunks makes parts of different sizes.",
		advice: askStore,
		reasons: map[tree.TrialReason]reasonWord{
			tree.ReasonRefused: {
				means:  "Pushes in chunks of different sizes fail at their end. docker, containerd and skopeo push a layer in one piece and are not concerned.",
				advice: "Switch off chunked copying in Harbor's replication rules to this registry; an upload that was interrupted has to begin anew.",
			},
		}},
	{kind: tree.TrialCopyParts, setting: "s3.multipartcopythresholdsize: \"5368709120\"",
		means:  "At the end of a push the registry copies the layer to its place, above 32 MiB in parts.",
		advice: "Pushes of layers above 32 MiB would fail. If plain copying works, have the registry use it up to 5 GiB."},
	{kind: tree.TrialCopy,
		means:  "At the end of a push the registry copies the layer to its place.",
		advice: askStore},
	{kind: tree.TrialAbort,
		means:  "Uploads that are given up are aborted; otherwise their parts stay and take space.",
		advice: askStore},
	{kind: tree.TrialSize,
		means:  "The registry sends up to 20 MiB in a request, a copy up to 256 MiB.",
		advice: "Nothing was found out; look at limits of proxies on the way.",
		reasons: map[tree.TrialReason]reasonWord{
			tree.ReasonRefused: {advice: "Raise the limit of the proxy before the store (nginx: client_max_body_size 0), or name the store's own address."},
		}},
	{kind: tree.TrialRedirect, setting: "disableredirect: true",
		means:  "Who pulls a layer is sent to the store with a signed address, unless that is switched off; so is Harbor's core when it scans or replicates.",
		advice: "Set disableredirect: true, unless everybody who pulls reaches the store and trusts its certificate."},
	{kind: tree.TrialDeleteMany,
		means:  "Deleting tags and uploads and collecting garbage is one request for many objects.",
		advice: askStore},
	{kind: tree.TrialDeleteOne,
		means:  "A copy removes single objects so.",
		advice: askStore},

	{kind: tree.TrialFolder, setting: "persistentVolumeClaim.registry",
		means: "It is where the registry's volume is mounted.",
		reasons: map[tree.TrialReason]reasonWord{
			tree.ReasonMissing: {advice: "Make sure that the volume is mounted: a copy would make the folder in what is there now.", means: "A folder that is missing may be a volume that is not mounted."},
		}},
	{kind: tree.TrialWrite,
		means:  "A copy stores files, waits until they are on disk, and renames them.",
		advice: "Run as a user who may write there; Harbor's registry is 10000:10000. Look whether the volume is mounted read-only, or full."},
	{kind: tree.TrialOwner,
		means:  "The registry has to read, replace and delete what is copied; Harbor's is the user 10000:10000.",
		advice: "Run as the folder's owner, or as root, who gives new files to it."},
	{kind: tree.TrialSpace,
		means:  "Everything that is copied has to fit.",
		advice: "Make the volume larger.",
		reasons: map[tree.TrialReason]reasonWord{
			tree.ReasonScarce: {advice: "Make sure that everything fits."},
		}},
	{kind: tree.TrialNames,
		means:  "Tags may differ in nothing but case.",
		advice: "Use a file system that tells upper and lower case apart."},
	{kind: tree.TrialMounts, setting: "persistentVolumeClaim.registry",
		means:  "The registry renames files from one folder to another, which works only within one file system.",
		advice: "Mount one volume for all of it, without links and other mounts inside."},
	{kind: tree.TrialRates,
		means:  "From this the time that a copy takes is estimated.",
		advice: "Nothing was measured; the estimate says less."},
	{kind: tree.TrialClean,
		means:  "What was stored to try things out is removed.",
		advice: "Delete by hand what is left.",
		reasons: map[tree.TrialReason]reasonWord{
			tree.ReasonLeft: {advice: "Delete by hand what is left; nothing else is below that prefix."},
		}},
}
