#!/bin/sh
# Builds the three images with whichever of buildah, podman and docker is there, and checks nothing else.
#   deploy/images/build.sh [TAG]        BASE=registry/debian@sha256:... pins the base; BUILD_OPTIONS goes to the builder
set -eu
cd "$(dirname "$0")/../.."
tag=${1:-latest}
builder=
for one in buildah podman docker; do
  if command -v "$one" >/dev/null 2>&1; then builder=$one; break; fi
done
[ -n "$builder" ] || { echo "None of buildah, podman and docker is installed." >&2; exit 1; }
for image in door verifier console; do
  # shellcheck disable=SC2086 - options are words
  "$builder" build ${BASE:+--build-arg BASE=$BASE} ${BUILD_OPTIONS:-} \
    -f "deploy/images/$image.Containerfile" -t "sallyport-$image:$tag" .
done
