#!/usr/bin/env bash
# Surprise: in an INI inventory the values below [all:vars] are read as Python literals, as those on a host's line are.
#   The documentation of inventories says that a :vars section holds strings.
# Versions: ansible-core 2.18.11
# Guess: `kube_version=1.10` below [all:vars] is the string 1.10; on a host's line it is the number 1.1.
# Seen: both are the number 1.1. `4e12`, a short commit as an image tag may look like that, is 4000000000000.0, and 1_000 is 1000.
#   `0777` and `1:30` stay strings.
# Affects: versions and tags that are handed to Kubespray by an INI inventory: a two-part version loses its last zero and the
#   file or tag that is then asked for is not in the offline mirror. Write them in YAML, quoted.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install ansible-core==2.18.11

cat >hosts.ini <<'I'
node ansible_connection=local on_host=1.10
[all:vars]
two_parts=1.10
three_parts=1.10.0
commit=4e12
underscore=1_000
zero=0777
colon=1:30
list=[1, 2]
word=True
I
cat >play.yml <<'Y'
- hosts: node
  gather_facts: false
  tasks:
  - copy:
      dest: "{{ playbook_dir }}/seen"
      content: |
        {% for name in ['on_host', 'two_parts', 'three_parts', 'commit', 'underscore', 'zero', 'colon', 'list', 'word'] %}
        {{ name }}: {{ 'string' if lookup('vars', name) is string else lookup('vars', name) | type_debug }} {{ lookup('vars', name) }}
        {% endfor %}
Y
python3 -m ansible playbook -i hosts.ini play.yml >ansible.log 2>&1 || { cat ansible.log; exit 1; }

recorded <<'R'
on_host: float 1.1
two_parts: float 1.1
three_parts: string 1.10.0
commit: float 4000000000000.0
underscore: int 1000
zero: string 0777
colon: string 1:30
list: list [1, 2]
word: bool True
R
