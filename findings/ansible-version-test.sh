#!/usr/bin/env bash
# Surprise: the test `version` without more words takes 1.28 and 1.28.0 for different versions and a release candidate for newer
#   than its release; with version_type='semver' the leading v of every Kubernetes version is an error.
# Versions: ansible-core 2.18.11
# Guess: '1.28' is version('1.28.0', '==') is true; 'v1.29.0' against '1.28' is an error; v1.29.0 is a semantic version. Of the
#   release candidate and of the build suffix no guess was written down.
# Seen: false; an error, as guessed; an error. 1.28.0-rc.1 is above 1.28.0, and 2.0.0+k3s1 is above 2.0.0.
# Affects: conditions on kube_version and component versions in Kubespray's roles and in playbooks around it, which choose
#   what is downloaded. Pass strict=true, or three-part versions without v.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install ansible-core==2.18.11

cat >play.yml <<'Y'
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
  - set_fact:
      plain: "{{ '1.28' is version('1.28.0', '==') }}"
      strict: "{{ '1.28' is version('1.28.0', '==', strict=true) }}"
      candidate: "{{ '1.28.0-rc.1' is version('1.28.0', '>') }}"
      build: "{{ '2.0.0+k3s1' is version('2.0.0', '>') }}"
  - set_fact: {mixed: "{{ 'v1.29.0' is version('1.28', '>') }}"}
    ignore_errors: true
  - set_fact: {semver: "{{ 'v1.29.0' is version('v1.28.0', '>', version_type='semver') }}"}
    ignore_errors: true
  - copy:
      dest: "{{ playbook_dir }}/seen"
      content: |
        1.28 == 1.28.0: {{ plain }}
        1.28 == 1.28.0, strict: {{ strict }}
        1.28.0-rc.1 > 1.28.0: {{ candidate }}
        2.0.0+k3s1 > 2.0.0: {{ build }}
        v1.29.0 > 1.28: {{ mixed | default('error') }}
        v1.29.0 > v1.28.0, semver: {{ semver | default('error') }}
Y
python3 -m ansible playbook -i localhost, play.yml >ansible.log 2>&1 || { cat ansible.log; exit 1; }

recorded <<'R'
1.28 == 1.28.0: False
1.28 == 1.28.0, strict: True
1.28.0-rc.1 > 1.28.0: True
2.0.0+k3s1 > 2.0.0: True
v1.29.0 > 1.28: error
v1.29.0 > v1.28.0, semver: error
R
