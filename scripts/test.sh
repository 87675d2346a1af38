#!/usr/bin/env bash
# Setup, then lint, types and the tests that are not slow. With arguments: only setup and pytest, with these arguments.
#   bash scripts/test.sh
#   bash scripts/test.sh -m slow        bash scripts/test.sh -k config -x
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
[ $# -gt 0 ] && exec .venv/bin/python -m pytest "$@"

part() { # part NAME COMMAND...: prints the seconds that the command took
    local name="$1" start=$SECONDS status=0
    shift
    "$@" || status=$?
    echo "test: $name: $((SECONDS - start)) s" >&2
    return $status
}
lint() { .venv/bin/ruff check . && .venv/bin/ruff format --check .; }

part lint lint
part types .venv/bin/mypy
part tests .venv/bin/python -m pytest -m 'not slow'
