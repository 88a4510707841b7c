#!/bin/sh
# Runs NGINX on the configuration of a mounted volume, and takes a new one over when the volume changes and it is sound.
set -eu
conf=${SALLYPORT_CONF:-/etc/sallyport}
work=${SALLYPORT_WORK:-/run/sallyport}
nginx=${SALLYPORT_NGINX:-nginx}
module=${SALLYPORT_NJS:-/usr/lib/nginx/modules/ngx_http_js_module.so}
main=
mkdir -p "$work/run" "$work/temp" "$work/cache"
cd "$work"
if [ -f "$module" ]; then main="load_module $module;"; fi
if [ "$(id -u)" = 0 ]; then main="$main user root;"; fi

version() { readlink "$conf/..data" || true; }

seen=$(version)
"$nginx" -p "$work/" -c "$conf/nginx.conf" -e stderr -g "$main daemon off;" &
server=$!
trap 'kill -QUIT "$server"' TERM INT
while kill -0 "$server" 2>/dev/null; do
  sleep "${SALLYPORT_PAUSE:-2}" &
  wait $! || true
  now=$(version)
  if [ "$now" = "$seen" ]; then continue; fi
  seen=$now
  if "$nginx" -p "$work/" -c "$conf/nginx.conf" -e stderr -g "$main" -t; then
    kill -HUP "$server"
  else
    echo "the new configuration is not sound; the old one stays" >&2
  fi
done
wait "$server"
