#!/usr/bin/env python3
"""Runs a checkout's cluster.yml with real Ansible, and prints what it downloads: `image NAME` and `url URL`, sorted.

    real.py CHECKOUT [NAME=VALUE ...]

Ansible does everything that decides what runs: plays, roles, conditions, loops, precedence, templates. Only the modules are
stand-ins: each succeeds at once, with a plain result, and its arguments are recorded. The one host is a new Debian machine that
is in every group. Needs the `ansible` of the checkout's requirements.txt.
"""

import json
import os
import re
import sys
import tempfile

import yaml

checkout = os.path.abspath(sys.argv[1])
temporary = tempfile.mkdtemp(prefix="kso-play-")
record_path = os.path.join(temporary, "record")
inventory = os.path.join(temporary, "hosts.ini")
with open(inventory, "w", encoding="utf-8") as file:
    file.write(
        """[kube_control_plane]
node1 ansible_host=192.0.2.1 ip=192.0.2.1 ansible_connection=local
[etcd:children]
kube_control_plane
[kube_node:children]
kube_control_plane
[calico_rr:children]
kube_control_plane
[k8s_cluster:children]
kube_control_plane
kube_node
calico_rr
"""
    )
os.chdir(checkout)
os.environ.update(
    ANSIBLE_CONFIG=os.path.join(checkout, "ansible.cfg"),
    ANSIBLE_LIBRARY=os.path.join(checkout, "library"),
    ANSIBLE_ROLES_PATH=os.path.join(checkout, "roles"),
    ANSIBLE_CACHE_PLUGIN="memory",
    ANSIBLE_GATHERING="explicit",
    ANSIBLE_STDOUT_CALLBACK="minimal",
    ANSIBLE_CALLBACKS_ENABLED="",
    ANSIBLE_RETRY_FILES_ENABLED="0",
    ANSIBLE_LOCAL_TEMP=os.path.join(temporary, "ansible"),
)
record_file = os.open(record_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def record(**fields):
    """Adds a line; the tasks run in processes of their own."""
    os.write(record_file, (json.dumps(fields, default=str) + "\n").encode())


# After the settings, which Ansible reads when it is imported.
import ansible.executor.task_executor as task_executor  # noqa: E402
from ansible.cli.playbook import PlaybookCLI  # noqa: E402
from ansible.plugins.action import ActionBase  # noqa: E402
from ansible.template import AnsibleEnvironment, generate_ansible_template_vars  # noqa: E402

# What only moves values around runs as it is.
REAL = {"set_fact", "include_vars", "debug", "group_by", "add_host"}
FACTS = {
    "architecture": "x86_64",
    "machine": "x86_64",
    "userspace_architecture": "x86_64",
    "system": "Linux",
    "os_family": "Debian",
    "distribution": "Debian",
    "distribution_release": "bookworm",
    "distribution_version": "12",
    "distribution_major_version": "12",
    "hostname": "node1",
    "nodename": "node1",
    "fqdn": "node1",
    "domain": "",
    "service_mgr": "systemd",
    "pkg_mgr": "apt",
    "kernel": "6.1.0",
    "default_ipv4": {"address": "192.0.2.1", "interface": "eth0", "gateway": "192.0.2.254"},
    "default_ipv6": {},
    "all_ipv4_addresses": ["192.0.2.1"],
    "all_ipv6_addresses": [],
    "interfaces": ["eth0"],
    "memtotal_mb": 16000,
    "memfree_mb": 8000,
    "swaptotal_mb": 0,
    "processor_vcpus": 4,
    "cmdline": {},
    "env": {"PATH": "/usr/bin:/bin", "HOME": "/root"},
    "python": {"version": {"major": 3, "minor": 11}},
    "python_version": "3.11.2",
    "selinux": {"status": "disabled"},
    "date_time": {"epoch": "1700000000", "iso8601": "2023-11-14T22:13:20Z", "date": "2023-11-14"},
    "services": {},
    "packages": {},
    "mounts": [],
    "user_id": "root",
    "user_dir": "/root",
    "lsb": {},
}
# What kubeadm prints: Kubespray asks it for its images.
KUBEADM = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"]


class StandIn(ActionBase):
    """A module that succeeds."""

    def run(self, tmp=None, task_vars=None):
        name = self._task.action.split(".")[-1]
        args = dict(self._task.args)
        result = {
            "changed": False,
            "rc": 0,
            "stdout": "",
            "stdout_lines": [],
            "stderr": "",
            "stderr_lines": [],
            "stat": {"exists": False, "islnk": False, "isdir": False, "writeable": True},
            "content": "",
            "matched": 0,
            "files": [],
            "status": 200,
            "json": {},
            "dest": args.get("dest", ""),
            "path": args.get("path", ""),
            "state": "",
            "cmd": "",
        }
        if name in ("setup", "gather_facts", "service_facts", "package_facts"):
            facts = {"ansible_" + key: value for key, value in FACTS.items()}
            return {"changed": False, "ansible_facts": facts | {"services": {}, "packages": {}}}
        if name == "slurp" and "conflist" in str(args):
            # A new machine has no network of pods.
            result.pop("content")
        try:
            self.note(name, args, task_vars, result)
        except Exception as why:  # The play goes on, as on a machine where this task failed.
            record(kind="failed", task=self._task.get_name(), why=str(why))
        return result

    def note(self, name, args, task_vars, result):
        if name == "template":
            record(kind="manifest", text=self.rendered(args, task_vars))
        elif name == "copy" and args.get("src") and not args.get("remote_src"):
            path = self._find_needle("files", args["src"])
            if path.endswith((".yml", ".yaml", ".json")):
                with open(path, encoding="utf-8") as manifest:
                    record(kind="manifest", text=manifest.read())
        elif name in ("command", "shell", "raw"):
            text = " ".join(str(args[key]) for key in ("_raw_params", "cmd", "argv") if key in args)
            record(kind="command", text=text)
            if args.get("stdin"):
                record(kind="manifest", text=args["stdin"])
            if "kubeadm config images list" in text:
                repository = task_vars.get("kubeadm_image_repo", task_vars.get("kube_image_repo"))
                version = "v" + self._templar.template(task_vars["kube_version"]).lstrip("v")
                images = [f"{self._templar.template(repository)}/{image}:{version}" for image in KUBEADM]
                result.update(stdout="\n".join(images), stdout_lines=images)
        elif name in ("get_url", "unarchive") or (name == "uri" and args.get("dest")):
            record(kind="url", url=str(args.get("url", args.get("src", ""))))

    def rendered(self, args, task_vars):
        """As `ansible.plugins.action.template` has it."""
        path = self._find_needle("templates", args["src"])
        with open(path, encoding="utf-8") as template:
            text = template.read()
        variables = task_vars.copy()
        variables.update(generate_ansible_template_vars(args["src"], path, args.get("dest")))
        search = [os.path.dirname(path)] + task_vars.get("ansible_search_path", [])
        search = [place for root in search for place in (os.path.join(root, "templates"), root)]
        templar = self._templar.copy_with_new_env(
            environment_class=AnsibleEnvironment, searchpath=search, available_variables=variables
        )
        overrides = {"trim_blocks": True, "lstrip_blocks": False}
        return templar.do_template(text, preserve_trailing_newlines=True, escape_backslashes=False, overrides=overrides)


find_handler = task_executor.TaskExecutor._get_action_handler_with_module_context
run_task = task_executor.TaskExecutor.run


def stand_in(self, templar):
    handler, context = find_handler(self, templar)
    if self._task.action.split(".")[-1] not in REAL:
        handler = StandIn(
            task=self._task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=templar,
            shared_loader_obj=self._shared_loader_obj,
        )
    return handler, context


def never_fails(self):
    task = self._task
    task.retries, task.delay, task.poll, task.async_val, task.timeout = 1, 0, 0, 0, 0
    task.until, task.failed_when, task.connection = [], [], "local"
    result = run_task(self)
    if result.get("failed") or result.get("unreachable"):
        record(kind="failed", task=task.get_name(), why=str(result.get("msg")))
        result.update(failed=False, unreachable=False)
        result.setdefault("rc", 0)
    for one in result.get("results") or []:
        if isinstance(one, dict):
            one["failed"] = False
    return result


class Loader(yaml.SafeLoader):
    """YAML of Kubernetes: `=` is text, and no tag matters."""


Loader.yaml_implicit_resolvers = {
    key: [rule for rule in rules if rule[0] != "tag:yaml.org,2002:value"]
    for key, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_multi_constructor("", lambda loader, suffix, node: None)


def images_of(text):
    """The images of a manifest: those that PyYAML finds, and not a line of text."""
    try:
        documents = list(yaml.load_all(text, Loader))
    except yaml.YAMLError:
        return set(re.findall(r"^\s*-?\s*image:\s*[\"']?([^\s\"']+)", text, re.M))
    found = set()

    def walk(value, is_on):
        if isinstance(value, dict):
            is_on = is_on and value.get("enabled") is not False
            image = value.get("image")
            if isinstance(image, str) and image:
                found.add(image)
            elif isinstance(image, dict) and "repository" in image and "tag" in image and is_on:
                found.add(f"{image['repository']}:{image['tag']}")
            for part in value.values():
                walk(part, is_on)
        elif isinstance(value, list):
            for part in value:
                walk(part, is_on)
        elif isinstance(value, str) and "image:" in value:
            found.update(images_of(value))

    walk(documents, True)
    return found


def main():
    task_executor.TaskExecutor._get_action_handler_with_module_context = stand_in
    task_executor.TaskExecutor.run = never_fails
    arguments = ["ansible-playbook", "-i", inventory, "cluster.yml"]
    for variable in ["ansible_become=false", "ignore_assert_errors=true", *sys.argv[2:]]:
        arguments += ["-e", variable]
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.path.join(temporary, "log"), os.O_WRONLY | os.O_CREAT), 1)
        os.dup2(1, 2)
        PlaybookCLI.cli_executor(arguments)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    images, urls = set(), set()
    with open(record_path, encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            if line["kind"] == "manifest":
                images.update(images_of(line["text"]))
            elif line["kind"] == "command":
                images.update(re.findall(r"(?:nerdctl|crictl|docker|ctr)[^|;&]*? pull (?:--quiet )?(\S+)", line["text"]))
            elif line["kind"] == "url" and line["url"].startswith("http"):
                urls.add(line["url"])
            elif line["kind"] == "failed":
                print(f"failed: {line['task']}: {line['why'].splitlines()[0][:200]}", file=sys.stderr)
    print("".join(sorted([f"image {image}\n" for image in images] + [f"url {url}\n" for url in urls])), end="")
    sys.exit(status)


main()
