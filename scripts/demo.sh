#!/usr/bin/env bash
# The whole job on a plain machine: setup, then configs/demo.yaml on the sample or on your file.
#   bash scripts/demo.sh
#   bash scripts/demo.sh my.csv cluster.smallest_story=4
set -euo pipefail
here="$(pwd)"
cd "$(dirname "$0")/.."
bash scripts/setup.sh

settings=()
for argument in "$@"; do
    [ -e "$here/$argument" ] && argument="$here/$argument"
    case "$argument" in
        /*) settings+=("input.path=$argument") ;;
        *=*) settings+=("$argument") ;;
        *) settings+=("input.path=$here/$argument") ;;
    esac
done
exec .venv/bin/python -m job run configs/demo.yaml ${settings[@]+"${settings[@]}"}
