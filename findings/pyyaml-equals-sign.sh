#!/usr/bin/env bash
# Surprise: PyYAML, and so Ansible, cannot read a bare `=`. The YAML library of Helm and Kubernetes writes the string "=" bare.
# Versions: PyYAML 6.0.3, ansible-core 2.18.11, sigs.k8s.io/yaml 1.6.0
# Guess: sigs.k8s.io/yaml quotes the string, since it quotes everything that YAML 1.1 gives a meaning. Of PyYAML no guess was
#   written down before the first run; the plain expectation is the string.
# Seen: the Go library writes `operator: =`; PyYAML fails with "could not determine a constructor for the tag
#   'tag:yaml.org,2002:value'", in every loader; Ansible's from_yaml fails too. Quoted by hand, it is read.
# Affects: custom resource definitions that list operators (`enum: [=, "!="]`, Prometheus' alert matchers) and the output of
#   `helm template`: a Python tool that looks for images in such manifests loses the whole document.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install PyYAML==6.0.3 ansible-core==2.18.11
go_get sigs.k8s.io/yaml@v1.6.0

cat >write.go <<'G'
package main

import (
	"fmt"

	"sigs.k8s.io/yaml"
)

func main() {
	text, err := yaml.Marshal(map[string]string{"operator": "="})
	fmt.Print(string(text))
	if err != nil {
		panic(err)
	}
	var back map[string]any
	fmt.Println(yaml.Unmarshal(text, &back), back)
}
G
cat >read.py <<'P'
import yaml
from ansible.parsing.yaml.loader import AnsibleLoader

text = open("written").readline()
for name, read in [
    ("SafeLoader", lambda it: yaml.load(it, yaml.SafeLoader)),
    ("FullLoader", lambda it: yaml.load(it, yaml.FullLoader)),
    ("AnsibleLoader", lambda it: AnsibleLoader(it).get_single_data()),
]:
    for it in (text, text.replace("=", "'='")):
        try:
            print(name, it.strip(), "->", dict(read(it)))
        except yaml.constructor.ConstructorError as error:
            print(name, it.strip(), "->", error.problem)
P
go run write.go >written
{ sed 's/^/go: /' written; python3 read.py; } >seen

recorded <<'R'
go: operator: =
go: <nil> map[operator:=]
SafeLoader operator: = -> could not determine a constructor for the tag 'tag:yaml.org,2002:value'
SafeLoader operator: '=' -> {'operator': '='}
FullLoader operator: = -> could not determine a constructor for the tag 'tag:yaml.org,2002:value'
FullLoader operator: '=' -> {'operator': '='}
AnsibleLoader operator: = -> could not determine a constructor for the tag 'tag:yaml.org,2002:value'
AnsibleLoader operator: '=' -> {'operator': '='}
R
