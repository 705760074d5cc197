#!/bin/sh
# Writes what a release consists of to dist/: the program for each platform with the web console in
# it, the Helm chart, and the checksums of all. The same sources give the same bytes.
set -eu
cd "$(dirname "$0")/.."
version=${1:?the version is missing, such as v1.2.3}
case $version in
v[0-9]*.[0-9]*.[0-9]*) ;;
*) echo "release: $version is no version such as v1.2.3" >&2; exit 2 ;;
esac
[ -f internal/console/dist/index.html ] || { echo "release: the web console is not built" >&2; exit 1; }

out=dist/$version
rm -rf "$out"
mkdir -p "$out"
when=$(git log -1 --format=%ct)
for platform in ${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64}; do
  os=${platform%/*} arch=${platform#*/}
  name=lighterage-${version#v}-$os-$arch
  mkdir "$out/$name"
  echo "$platform"
  CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$out/$name/lighterage" ./cmd/lighterage
  cp LICENSE README.md README.zh-CN.md CHANGELOG.md "$out/$name/"
  tar -C "$out" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$when" -cf - "$name" | gzip -n -9 >"$out/$name.tar.gz"
  rm -r "${out:?}/$name"
done
SOURCE_DATE_EPOCH=$when go -C tools/chart run . package ../../deploy/chart/lighterage "$version" "../../$out"
(cd "$out" && sha256sum -- *.tar.gz *.tgz >SHA256SUMS)
echo "$out"
