#!/usr/bin/env bash
# The whole job on a plain machine: set-up, then configs/demo.yaml on the sample, or on your file.
#   bash scripts/demo.sh
#   bash scripts/demo.sh my.csv cluster.min_cluster_size=5
set -euo pipefail
here="$(pwd)"
cd "$(dirname "$0")/.."
bash scripts/setup.sh

settings=()
for word in "$@"; do
    [ -e "$here/$word" ] && word="$here/$word"
    case "$word" in
        /*) settings+=("input.path=$word") ;;
        *=*) settings+=("$word") ;;
        *) settings+=("input.path=$here/$word") ;;
    esac
done
exec .venv/bin/python -m job run configs/demo.yaml ${settings[@]+"${settings[@]}"}
