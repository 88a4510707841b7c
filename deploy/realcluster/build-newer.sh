#!/bin/sh
# Adds Debian's newest server of custom kinds (apiextensions-apiserver, from unstable) to what build.sh built: tests then
# have custom kinds served by it, behind the older API server. Nothing is installed. About 8 minutes on two cores; 3 GB.
#
#   deploy/realcluster/build-newer.sh [DIRECTORY]
set -eu

to=${1:-${SALLYPORT_REAL_CLUSTER:-$HOME/.cache/sallyport/realcluster}}
[ -x "$to/apiextensions-apiserver" ] && exit 0

work=$to/newer root=$to/newer/root
mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/packages" "$root"
: > "$work/apt/status"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] http://deb.debian.org/debian sid main" > "$work/apt/sources.list"
ours="-o Dir::Etc::SourceList=$work/apt/sources.list -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=$work/apt/lists
  -o Dir::Cache=$work/apt/cache -o Dir::State::status=$work/apt/status"

cd "$work/packages"
apt-get -q $ours update
wanted=golang-k8s-apiextensions-apiserver-dev
compiler=$(apt-cache $ours show golang-go | sed -n 's/^Depends:.*\(golang-[0-9.]*\)-go.*/\1/p' | head -1)
libraries=$(apt-cache $ours depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
  --no-enhances $wanted | grep -E '^golang-[a-z].*-dev$' | sort -u)
apt-get -q $ours download $wanted $libraries "$compiler-go" "$compiler-src"
for package in *.deb; do dpkg -x "$package" "$root"; done

export GOROOT="$root/usr/lib/go-${compiler#golang-}"
export GOPATH="$root/usr/share/gocode" GOCACHE="$work/cache"
export GO111MODULE=off GOPROXY=off GOTOOLCHAIN=local CGO_ENABLED=0 GOMAXPROCS=2
cd "$GOPATH/src/k8s.io/apiextensions-apiserver"
nice -n 19 "$GOROOT/bin/go" build -p 2 -ldflags "-s -w" -o "$work/apiextensions-apiserver" .
mv "$work/apiextensions-apiserver" "$to/"
echo "Built in $to: apiextensions-apiserver $(dpkg-deb -f "$work"/packages/${wanted}_*.deb Version)"
