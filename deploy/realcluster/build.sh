#!/bin/sh
# Builds a real kube-apiserver (Kubernetes 1.20.2) and kube-controller-manager from the sources Debian 12 carries, and lays
# etcd beside them, for tests: nothing is installed and root is not needed. About 15 minutes on two cores, once; 3 GB.
#
#   deploy/realcluster/build.sh [DIRECTORY]        needs dpkg-dev, and Debian's keyring
set -eu

to=${1:-${SALLYPORT_REAL_CLUSTER:-$HOME/.cache/sallyport/realcluster}}
version=1.20.2
[ -x "$to/kube-apiserver" ] && [ -x "$to/kube-controller-manager" ] && [ -x "$to/etcd" ] && exit 0

work=$to/work root=$to/work/root
mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$root"
cd "$work"

# -- what Debian has, with lists of our own: the machine's are left alone ---------------------------------------------
signed="signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
for kind in deb deb-src; do
  echo "$kind [$signed] http://deb.debian.org/debian bookworm main"
done > apt/sources.list
apt() {
  apt-get -q -o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" "$@"
}
apt update
apt --download-only source kubernetes
apt download golang-1.19-go golang-1.19-src etcd-server golang-github-modern-go-reflect2-dev
for package in *.deb; do dpkg -x "$package" "$root"; done
cp "$root/usr/bin/etcd" "$to/etcd"

# -- the source, where a Go without modules looks for it --------------------------------------------------------------
source=$work/go/src/k8s.io/kubernetes
if [ ! -d "$source" ]; then
  mkdir -p "$work/go/src/k8s.io"
  dpkg-source --no-check -x kubernetes_*.dsc "$source"
fi
cd "$source"
# It was written for Go 1.15. Built by a later one, its reflect2 crashes, and its validator takes "" for null.
rm -rf vendor/github.com/modern-go/reflect2
cp -r "$root/usr/share/gocode/src/github.com/modern-go/reflect2" vendor/github.com/modern-go/
sed -i 's/data == nil || reflect.DeepEqual(reflect.Zero.*) {/data == nil {/' \
  vendor/k8s.io/kube-openapi/pkg/validation/validate/type.go
sed -i "s/\(gitVersion .*= \)\"v0.0.0.*\"/\1\"v$version\"/" \
  staging/src/k8s.io/component-base/version/base.go staging/src/k8s.io/client-go/pkg/version/base.go

export GOROOT="$root/usr/lib/go-1.19" GOPATH="$work/go" GOCACHE="$work/cache"
export GO111MODULE=off GOPROXY=off GOTOOLCHAIN=local CGO_ENABLED=0 GOMAXPROCS=2
build() { nice -n 19 "$GOROOT/bin/go" build -p 2 -ldflags "-s -w" -o "$work/$1" "$2"; }

# -- the one file that is generated and not in the source: what each kind looks like ----------------------------------
if [ ! -f pkg/generated/openapi/zz_generated.openapi.go ]; then
  build openapi-gen ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
  tag='+k8s:openapi-gen='
  inputs=$({ grep -rl --include='*.go' "$tag" pkg cmd plugin
             (cd staging/src && grep -rl --include='*.go' "$tag" k8s.io | sed 's#^#vendor/#')
           } | grep -v -e code-generator/ -e sample-apiserver/ -e /testdata/ | xargs -n1 dirname | sort -u \
             | sed 's#^#k8s.io/kubernetes/#' | paste -sd,)
  PATH="$GOROOT/bin:$PATH" nice -n 19 "$work/openapi-gen" --logtostderr -i "$inputs" -O zz_generated.openapi \
    -p k8s.io/kubernetes/pkg/generated/openapi -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt \
    -r "$work/violations"
fi

build kube-apiserver ./cmd/kube-apiserver
build kube-controller-manager ./cmd/kube-controller-manager
mv "$work/kube-apiserver" "$work/kube-controller-manager" "$to/"
echo "Built in $to: $(ls -x "$to" | tr -s ' ')"
