#!/usr/bin/env bash
# Writes scripts/constraints-gpu.txt and environment.yml: exact versions for a machine with an NVIDIA GPU, found by uv from
# pyproject.toml and the metadata of the package index, without downloading a package. scripts/constraints.txt, which was
# measured on a CPU, is not changed; its versions are kept wherever cuML allows them. Needs .venv (scripts/setup.sh).
#   bash scripts/lock.sh            # after a change of the requirements in pyproject.toml
#   bash scripts/lock.sh --check    # writes nothing: exit code 1 if the two files are out of date or no longer resolve
#   bash scripts/lock.sh --check 3.14    # the same for another Python than 3.12
set -euo pipefail
cd "$(dirname "$0")/.."

pins=scripts/constraints-gpu.txt
python="${2:-3.12}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# resolve FILE: writes the pins to FILE; the versions that FILE already has are preferred
resolve() {
    .venv/bin/uv pip compile pyproject.toml --extra gpu --extra minilm --extra dev \
        --python-version "$python" --python-platform x86_64-manylinux_2_28 --only-binary :all: \
        --no-annotate --no-header --quiet --output-file "$1" >/dev/null
}

header() {
    cat <<'END'
# Exact versions for an NVIDIA GPU: driver 580 or later, Linux x86-64 with glibc 2.28 or later, Python 3.11 to 3.14.
# Written by `bash scripts/lock.sh`, which prefers the versions of scripts/constraints.txt and runs:
#   uv pip compile pyproject.toml --extra gpu --extra minilm --extra dev --python-version 3.12 \
#       --python-platform x86_64-manylinux_2_28 --only-binary :all: --no-annotate --no-header
# `bash scripts/setup.sh --gpu` installs them.
END
}

if [ "${1:-}" = --check ]; then
    cp "$pins" "$work/pins.txt"
    resolve "$work/pins.txt"
    # what no longer resolves with these versions shows as a line that differs
    diff <(grep -v '^#' "$pins") "$work/pins.txt" && diff environment.yml <(.venv/bin/python scripts/environment.py) || {
        echo "lock: out of date, see above (< as it is, > as it should be): bash scripts/lock.sh" >&2
        exit 1
    }
    exit
fi
grep -v '^#' scripts/constraints.txt >"$work/pins.txt"
resolve "$work/pins.txt"
{ header && cat "$work/pins.txt"; } >"$work/complete.txt"
mv "$work/complete.txt" "$pins"
.venv/bin/python scripts/environment.py >"$work/environment.yml"
mv "$work/environment.yml" environment.yml
echo "lock: wrote $pins and environment.yml, $(grep -c == "$pins") packages" >&2
