#!/usr/bin/env bash
# Setup, then lint, types and the tests that are not slow, by several workers. With arguments: setup, then pytest with
# these arguments, one test after the other.
#   bash scripts/test.sh
#   bash scripts/test.sh -m slow        bash scripts/test.sh -k config -x
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
if [ $# -gt 0 ]; then
    exec .venv/bin/python -m pytest "$@"
fi

failed=()
part() { # part NAME COMMAND...: runs the command and prints its seconds
    local name="$1" start=$SECONDS
    shift
    "$@" || failed+=("$name")
    echo "test: $name: $((SECONDS - start)) s" >&2
}
lint() { .venv/bin/ruff check . && .venv/bin/ruff format --check .; }

part lint lint
part types .venv/bin/mypy
cores="$(nproc)"
part tests .venv/bin/python -m pytest -m 'not slow' -n $((cores < 4 ? cores : 4)) --dist loadfile
if [ ${#failed[@]} -gt 0 ]; then
    echo "test: failed: ${failed[*]}" >&2
    exit 1
fi
