#!/bin/sh
# Tests of NetworkPolicy send real packets through network namespaces, filtered by nftables. Root can install that;
# anybody else gets told, and the tests say why they skip.
PATH="$PATH:/usr/sbin:/sbin"
command -v nft >/dev/null 2>&1 && command -v ip >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing nftables and iproute2 for the tests of NetworkPolicy..."
  apt-get update -qq >/dev/null 2>&1
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nftables iproute2 >/dev/null 2>&1 && exit 0
fi
echo "No nftables here and it cannot be installed: tests of NetworkPolicy will be skipped."
exit 0
