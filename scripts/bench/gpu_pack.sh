#!/usr/bin/env bash
# Packs the packages that scripts/bench/gpu.sh needs on a GPU machine without a network. That machine already has Python
# 3.12, torch, CuPy, transformers, sentence-transformers, numba, scikit-learn and pyarrow. At most 64 MiB can be sent
# there at once, the repository included, so there are two archives, sent one after the other:
#   .whl/                  FlagEmbedding, pymilvus, Milvus Lite, hdbscan, umap-learn, plotly, pydantic and others, in the
#                          versions of scripts/constraints.txt
#   .rapids/rapids.tar.xz  cuML and cuVS for that GPU only, made by the script $RAPIDS_PACK (../shared/gpu/pack.sh; ten minutes)
#
#   bash scripts/bench/gpu_pack.sh            # both
#   bash scripts/bench/gpu_pack.sh wheels     # only .whl
#   bash scripts/bench/gpu_pack.sh rapids     # only .rapids
set -euo pipefail
cd "$(dirname "$0")/../.."
most=$((62 * 1024 * 1024))
packages=(FlagEmbedding datasets dill multiprocess lz4 pymilvus cachetools orjson python-dotenv milvus-lite faiss-cpu
    hdbscan umap-learn pynndescent plotly pydantic pydantic_core annotated-types typing-inspection stopwordsiso
    snowballstemmer pystemmer)

repository_bytes() { git ls-files -z --cached --others --exclude-standard | xargs -0 cat 2>/dev/null | wc -c; }

check() {
    local carried repository
    carried=$(find "$1" -type f -print0 | xargs -0 cat | wc -c)
    repository=$(repository_bytes)
    printf '%-8s %5.1f MiB, with the repository %5.1f MiB of %d\n' "$1" "$(mib "$carried")" \
        "$(mib $((carried + repository)))" $((most / 1048576))
    if [ $((carried + repository)) -gt "$most" ]; then
        echo "gpu_pack: $1 and the repository are too large to be sent at once" >&2
        exit 1
    fi
}

mib() { awk -v bytes="$1" 'BEGIN { print bytes / 1048576 }'; }

wheels() {
    local pins=() platforms=() name pin
    for name in "${packages[@]}"; do
        pin="$(grep -i "^$name==" scripts/constraints.txt)" || {
            echo "gpu_pack: $name has no version in scripts/constraints.txt" >&2
            exit 1
        }
        pins+=("$pin")
    done
    for glibc in manylinux_2_28 manylinux_2_27 manylinux_2_24 manylinux_2_17 manylinux2014 manylinux1; do
        platforms+=(--platform "${glibc}_x86_64")
    done
    rm -rf .whl
    python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
        "${platforms[@]}" -d .whl "${pins[@]}" 2> >(grep -v 'is ignored: it is neither' >&2)
    local found
    found=$(find .whl -type f -name '*.whl' | wc -l)
    [ "$found" -eq "${#pins[@]}" ] || { echo "gpu_pack: found $found of ${#pins[@]} wheels" >&2 && exit 1; }
    check .whl
}

rapids() {
    local pack="${RAPIDS_PACK:-../shared/gpu/pack.sh}"
    if [ ! -f "$pack" ]; then
        echo "gpu_pack: no file $pack: cuML is left out; set RAPIDS_PACK to a script that packs it" >&2
        return
    fi
    bash "$pack" .rapids
    check .rapids
}

case "${1:-both}" in
    wheels) wheels ;;
    rapids) rapids ;;
    both) wheels && rapids ;;
    *) echo "gpu_pack: '$1': expected wheels, rapids, or nothing for both" >&2 && exit 2 ;;
esac
