#!/usr/bin/env bash
# Surprise: `omit` removes a key of a nested dictionary, but not an element of a list: the module gets the placeholder's text.
# Versions: ansible-core 2.18.11
# Guess: the element is removed from the list, as the key is removed from the dictionary.
# Seen: the list keeps its length and holds a string that begins with __omit_place_holder__.
# Affects: lists that are built with `{{ mirror | default(omit) }}`, such as containerd's mirrors or a list of download URLs in
#   an offline inventory: nodes are configured with a host of that name, and it shows only when they pull.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install ansible-core==2.18.11

cat >play.yml <<'Y'
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
  - debug:
      msg:
        key: {kept: 1, left_out: "{{ nowhere | default(omit) }}"}
        list: ["{{ nowhere | default(omit) }}", "https://mirror.example"]
    register: told
  - copy:
      dest: "{{ playbook_dir }}/raw"
      content: "{{ told.msg | to_json(sort_keys=true) }}\n"
Y
python3 -m ansible playbook -i localhost, play.yml >ansible.log 2>&1 || { cat ansible.log; exit 1; }
sed -E 's/(__omit_place_holder__)[0-9a-f]{40}/\1HASH/' raw >seen

recorded <<'R'
{"key": {"kept": 1}, "list": ["__omit_place_holder__HASH", "https://mirror.example"]}
R
