#!/usr/bin/env bash
# Surprise: strings that PyYAML writes without quotes are numbers and booleans for the YAML library of Helm and Kubernetes.
# Versions: PyYAML 6.0.3, sigs.k8s.io/yaml 1.6.0
# Guess: each quotes whatever either of YAML 1.1 and 1.2 gives a meaning.
# Seen: the Go library does, and PyYAML reads back every string of the list. PyYAML leaves 4e12, 08, 0o17 and y bare: the Go
#   library reads 4e+12, 8, 15 and true. Only where the exponent is too large for a float does the string survive.
# Affects: everything that Ansible writes by to_yaml or to_nice_yaml for Helm or kubectl, such as values files and manifests: an
#   image tag that is a short commit (`4e12`, `7e5`) or a month (`08`) becomes another tag, which no offline registry holds.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install PyYAML==6.0.3
go_get sigs.k8s.io/yaml@v1.6.0

printf '%s\n' 4e12 7E5 1e-3 12e4567 08 017 0o17 1_000 1:30 y n on 1.10 2024-01-02 >strings
cat >pass.go <<'G'
package main

import (
	"bufio"
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var read map[string]any
		if err := yaml.Unmarshal(lines.Bytes(), &read); err != nil {
			panic(err)
		}
		fmt.Printf("%s is %T %v\n", lines.Text(), read["tag"], read["tag"])
	}
}
G
cat >write.go <<'G'
package main

import (
	"bufio"
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		text, err := yaml.Marshal(map[string]string{"tag": lines.Text()})
		if err != nil {
			panic(err)
		}
		fmt.Print(string(text))
	}
}
G
cat >write.py <<'P'
import sys, yaml
for line in sys.stdin:
    sys.stdout.write(yaml.safe_dump({"tag": line.strip()}))
P
cat >lost.py <<'P'
import yaml
wanted = open("strings").read().split()
read = [yaml.safe_load(line)["tag"] for line in open("go.yaml")]
print("lost from Go to PyYAML:", [it for it in zip(wanted, read) if it[0] != it[1]])
P
{
    echo "PyYAML writes, Go reads:"
    python3 write.py <strings | go run pass.go
    go run write.go <strings >go.yaml
    python3 lost.py
} >seen

recorded <<'R'
PyYAML writes, Go reads:
tag: 4e12 is float64 4e+12
tag: 7E5 is float64 700000
tag: 1e-3 is float64 0.001
tag: 12e4567 is string 12e4567
tag: 08 is float64 8
tag: '017' is string 017
tag: 0o17 is float64 15
tag: '1_000' is string 1_000
tag: '1:30' is string 1:30
tag: y is bool true
tag: n is bool false
tag: 'on' is string on
tag: '1.10' is string 1.10
tag: '2024-01-02' is string 2024-01-02
lost from Go to PyYAML: []
R
