# Shared by the scripts of this directory: a temporary work directory, pinned installs into it, and the comparison.
# It knows nothing of any one finding. A script sources it after `set -euo pipefail`.

name=$(basename "$0" .sh)
work=$(mktemp -d)
servers=()
clean() {
    for id in "${servers[@]}"; do kill "$id" 2>"$work/kill.log" || true; done
    chmod -R u+w "$work"
    rm -rf "$work"
}
trap clean EXIT
cd "$work"
export PIP_DISABLE_PIP_VERSION_CHECK=1 GOTOOLCHAIN=local GOFLAGS=-mod=mod LC_ALL=C.UTF-8
# Ansible's modules run on the same Python as Ansible, without a search for one.
ANSIBLE_PYTHON_INTERPRETER=$(python3 -c 'import sys; print(sys.executable)')
export ANSIBLE_PYTHON_INTERPRETER

# pip_install PACKAGE==VERSION...: Python packages, imported from $work/py, their programs in $work/py/bin.
pip_install() {
    python3 -m pip install --quiet --no-compile --root-user-action=ignore --target "$work/py" "$@"
    export PYTHONPATH=$work/py
}

# npm_install PACKAGE@VERSION...: JavaScript packages, imported by files of $work.
npm_install() {
    echo '{"private": true}' >package.json
    npm install --silent --no-audit --no-fund "$@"
}

# go_get MODULE@VERSION...: a Go module in $work that requires these. `go run FILE.go` then works there.
go_get() {
    [ -e go.mod ] || go mod init finding 2>go.log
    go get "$@" 2>>go.log || { cat go.log; exit 1; }
}

# cargo_add CRATE@=VERSION...: a Rust package in $work that depends on these. `cargo run --quiet` runs src/main.rs.
cargo_add() {
    [ -e Cargo.toml ] || cargo init --quiet --vcs none --name finding
    cargo add --quiet "$@"
}

# recorded: compares the file `seen` with standard input, and reports. Every script ends with it.
recorded() {
    if diff --unified --label recorded --label seen - seen; then
        echo "$name: as recorded"
    else
        echo "$name: changed"
        exit 1
    fi
}
