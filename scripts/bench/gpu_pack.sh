#!/usr/bin/env bash
# Packs what the job needs on the GPU machine of scripts/bench/gpu.sh, which has no network: Python 3.12, torch, CuPy,
# transformers, sentence-transformers, numba, scikit-learn and pyarrow are there; at most 64 MiB travel at once with the
# tree, so it is two pieces, each named in `carry` of a call of its own:
#   .whl/                 FlagEmbedding, pymilvus, Milvus Lite, hdbscan, umap-learn, plotly, pydantic: versions of constraints.txt
#   .rapids/rapids.tar.xz cuML and cuVS for that GPU alone, by ../shared/gpu/pack.sh where it is (ten minutes)
#
#   bash scripts/bench/gpu_pack.sh            # both
#   bash scripts/bench/gpu_pack.sh wheels     # the first
#   bash scripts/bench/gpu_pack.sh rapids     # the second
set -euo pipefail
cd "$(dirname "$0")/../.."
most=$((58 * 1024 * 1024))
packages=(FlagEmbedding datasets dill multiprocess lz4 pymilvus cachetools orjson python-dotenv milvus-lite faiss-cpu
    hdbscan umap-learn pynndescent plotly pydantic pydantic_core annotated-types typing-inspection stopwordsiso)

tree_bytes() { git ls-files -z --cached --others --exclude-standard | xargs -0 cat 2>/dev/null | wc -c; }

check() {
    local carried tree
    carried=$(find "$1" -type f -print0 | xargs -0 cat | wc -c)
    tree=$(tree_bytes)
    printf '%-8s %5.1f MiB, with the tree %5.1f MiB of 58\n' "$1" "$(mib "$carried")" "$(mib $((carried + tree)))"
    if [ $((carried + tree)) -gt "$most" ]; then
        echo "gpu_pack: $1 and the tree are too large to travel at once" >&2
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
    [ "$found" -eq "${#pins[@]}" ] || { echo "gpu_pack: $found wheels of ${#pins[@]}" >&2 && exit 1; }
    check .whl
}

rapids() {
    local pack="${RAPIDS_PACK:-../shared/gpu/pack.sh}"
    [ -f "$pack" ] || { echo "gpu_pack: no $pack: cuML's parts will be left out; RAPIDS_PACK names another" >&2 && return; }
    bash "$pack" .rapids
    check .rapids
}

case "${1:-both}" in
    wheels) wheels ;;
    rapids) rapids ;;
    both) wheels && rapids ;;
    *) echo "gpu_pack: wheels, rapids, or nothing for both; not '$1'" >&2 && exit 2 ;;
esac
