#!/usr/bin/env bash
# The whole job on a plain machine: setup, then configs/demo.yaml on the sample or on your files. Paths are relative to
# where you are.
#   bash scripts/demo.sh
#   bash scripts/demo.sh my.csv cluster.smallest_story=4
#   bash scripts/demo.sh monday.csv tuesday.csv run_dir=out
set -euo pipefail
here="$(pwd)"
cd "$(dirname "$0")/.."
bash scripts/setup.sh

absolute() { case "$1" in /*) echo "$1" ;; *) echo "$here/$1" ;; esac; }
settings=() files=()
for argument in "$@"; do
    if [ -e "$(absolute "$argument")" ]; then
        files+=("$(absolute "$argument")")
        continue
    fi
    case "$argument" in
        run_dir=*) settings+=("run_dir=$(absolute "${argument#run_dir=}")") ;;
        -* | *=*) settings+=("$argument") ;;
        *) files+=("$(absolute "$argument")") ;;
    esac
done
case ${#files[@]} in
    0) ;;
    1) settings+=("input.path=${files[0]}") ;;
    *) settings+=("input.path=[$(printf '"%s",' "${files[@]}")]") ;;
esac
exec .venv/bin/python -m job run configs/demo.yaml ${settings[@]+"${settings[@]}"}
