#!/usr/bin/env bash
# Set-up, then lint, types and tests. Arguments go to pytest:
#   bash scripts/test.sh
#   bash scripts/test.sh -k config -x        bash scripts/test.sh -m 'not slow'
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
if [ $# -eq 0 ]; then
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    .venv/bin/mypy
fi
exec .venv/bin/python -m pytest "$@"
