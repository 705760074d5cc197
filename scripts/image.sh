#!/bin/sh
# Builds the container image from nothing but the program, with buildah or podman, whichever is here.
#   scripts/image.sh TAG [ARCH...]     one image, or with several architectures a list of them
set -eu
cd "$(dirname "$0")/.."
tag=${1:?the tag is missing, such as lighterage:v1.2.3}
shift
if command -v buildah >/dev/null; then build="buildah build" images="buildah"
elif command -v podman >/dev/null; then build="podman build" images="podman"
else echo "image: buildah or podman is needed" >&2; exit 1; fi
[ $# -gt 0 ] || set -- "$(go env GOARCH)"

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
cp deploy/container/Containerfile "$context/"
go -C tools run ./roots >"$context/ca-certificates.crt"
for arch in "$@"; do
  CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -ldflags "-s -w -X main.version=${VERSION:-}" -o "$context/lighterage-linux-$arch" ./cmd/lighterage
done
if [ $# = 1 ]; then
  $build --platform "linux/$1" --tag "$tag" "$context"
  exit
fi
$images manifest rm "$tag" 2>/dev/null || true
for arch in "$@"; do
  $build --platform "linux/$arch" --manifest "$tag" "$context"
done
