#!/usr/bin/env bash
# Surprise: `group_vars/all.yml` is ignored, without a word, as soon as a directory `group_vars/all/` exists. In that
#   directory a file without an extension is read as YAML; one that ends in .txt or .yml.bak is not.
# Versions: ansible-core 2.18.11
# Guess: both are read, and the directory wins where they disagree.
# Seen: only the directory is read. The variables of all.yml are undefined.
# Affects: Kubespray keeps its variables in inventory/NAME/group_vars/all/. A tool that adds all/offline.yml to an inventory
#   whose user wrote group_vars/all.yml switches off every setting of that file.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install ansible-core==2.18.11

mkdir -p inventory/group_vars/all
echo 'node ansible_connection=local' >inventory/hosts.ini
echo 'from_file: read' >inventory/group_vars/all.yml
echo 'from_directory: read' >inventory/group_vars/all/offline.yml
echo 'from_no_extension: read' >inventory/group_vars/all/README
echo 'from_txt: read' >inventory/group_vars/all/notes.txt
echo 'from_bak: read' >inventory/group_vars/all/offline.yml.bak
cat >play.yml <<'Y'
- hosts: node
  gather_facts: false
  tasks:
  - copy:
      dest: "{{ playbook_dir }}/seen"
      content: |
        {% for name in ['from_file', 'from_directory', 'from_no_extension', 'from_txt', 'from_bak'] %}
        {{ name }}: {{ lookup('vars', name, default='undefined') }}
        {% endfor %}
Y
python3 -m ansible playbook -i inventory/hosts.ini play.yml >ansible.log 2>&1 || { cat ansible.log; exit 1; }

recorded <<'R'
from_file: undefined
from_directory: read
from_no_extension: read
from_txt: undefined
from_bak: undefined
R
