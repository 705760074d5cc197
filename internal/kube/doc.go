// Package kube moves a Harbor that runs on Kubernetes from its volume to S3: it finds
// out what is installed, says what stands in the way, and makes the manifests that do
// it.
//
// It speaks to a cluster with the permissions of whoever runs it, in one namespace,
// and asks for as few as a step needs. It never copies a byte of an image itself: that
// is done by a pod beside the registry.
package kube
