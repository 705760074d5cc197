package transfer

// Limits on what an artifact may claim, besides those of package oci on a manifest.
// They are far above any honest artifact and keep a hostile one from exhausting
// memory, disks or patience.
const (
	maxDepth     = 16      // indexes within indexes
	maxManifests = 20_000  // in one artifact
	maxBlobs     = 200_000 // in one artifact
	// maxManifestBytes is what all manifests of one artifact may have together: those of
	// indexes are held until their children have been copied.
	maxManifestBytes = 64 << 20
)
