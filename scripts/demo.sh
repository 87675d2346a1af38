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

# no path of a file: an address, or nothing
absolute() { case "$1" in /* | "~"* | *://* | null | "") echo "$1" ;; *) echo "$here/$1" ;; esac; }
settings=() files=()
for argument in "$@"; do
    if [ -e "$(absolute "$argument")" ]; then
        files+=("$(absolute "$argument")")
        continue
    fi
    value="${argument#*=}"
    case "$argument" in
        run_dir=* | cluster.previous=* | store.uri=* | store.tls_ca=*)
            settings+=("${argument%%=*}=$(absolute "$value")")
            ;;
        embed.model=*) # or a name
            if [ -d "$here/$value" ]; then value="$here/$value"; fi
            settings+=("embed.model=$value")
            ;;
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
