# shellcheck shell=bash
# Sourced. until_ready BASE PID: waits until the server PID takes requests at BASE; false if it ends before, or does not
# within two minutes.
until_ready() {
  for _ in $(seq 120); do
    curl --silent --fail --output /dev/null "$1/readyz" && return
    kill -0 "$2" || return 1
    sleep 1
  done
  return 1
}
