#!/usr/bin/env bash
# Tests and benchmarks on a machine with one GPU and no network. `first` and `second` are groups of parts for a machine
# that is lent for 15 minutes in all, the most important first, each with an end of its own:
#
#   bash scripts/bench/gpu_pack.sh                    # before, on a machine with a network: packs .whl and .rapids
#   LIMIT=400 bash scripts/bench/gpu.sh first         # with .whl: tests of encoder, neighbors and clustering, embed, a
#                                                     # million headlines until the map's layout, which needs cuML
#   LIMIT=330 bash scripts/bench/gpu.sh second        # with .rapids, at once after it, on the same machine ($SITE has
#                                                     # what .whl held): knn, graph, the rest of the million, cuML
#
# Where everything is installed, or time is no matter:
#
#   bash scripts/bench/gpu.sh                         # all parts until the time is over
#   bash scripts/bench/gpu.sh                         # ... the same again: the parts that are not done yet
#   bash scripts/bench/gpu.sh stories cluster         # only these
#
# Without names, a part that has ended well on this machine is not done again (its mark is in $SCRATCH/done; FRESH=1
# forgets the marks). `job` and `million` go on in their run folder after the last stage that was finished.
#
# Results are written to $OUT (runs/gpu) as soon as they are measured: results.jsonl (one result per line), log.txt,
# tests.xml, profile.txt, run.json. If a part fails or reaches its time limit, its results stay, and the next part
# starts. The two archives are unpacked into $SITE (/tmp/site); models, graphs and runs go to $SCRATCH (/tmp/gpu-bench).
# LIMIT: seconds for everything (530). ROWS, DEVICE=cpu and QUICK=1 are options of gpu.py: `QUICK=1 DEVICE=cpu bash
# scripts/bench/gpu.sh peaks graph` tests the script itself on any machine.
set -uo pipefail
cd "$(dirname "$0")/../.."

export OUT="${OUT:-$PWD/runs/gpu}" SITE="${SITE:-/tmp/site}" SCRATCH="${SCRATCH:-/tmp/gpu-bench}"
export PYTHONUNBUFFERED=1 TQDM_DISABLE=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=true
# what `setup.sh --gpu` made, if it did
[ ! -f .venv/.gpu ] || PYTHON="${PYTHON:-.venv/bin/python}"
python="${PYTHON:-python3}"
end=$((SECONDS + ${LIMIT:-530}))
[ -z "${FRESH:-}" ] || rm -rf "$SCRATCH/done"
mkdir -p "$OUT" "$SCRATCH/done"
exec > >(tee -a "$OUT/log.txt") 2>&1
echo "gpu: $(date -u +%FT%TZ) $* on $(hostname), $("$python" --version), results in $OUT"

setup() {
    export PYTHONPATH="$PWD:$SITE${PYTHONPATH:+:$PYTHONPATH}"
    local wheel nvidia
    for wheel in .whl/*.whl; do
        # unpacked, not installed: pip would refuse a wheel that requires another version of one that is there
        [ ! -f "$wheel" ] || "$python" -m zipfile -e "$wheel" "$SITE" || return
    done
    if [ -f .rapids/rapids.tar.xz ] && [ ! -d "$SITE/cuml" ]; then
        # the folder in the archive is called site
        "$python" -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2], filter="data")' \
            .rapids/rapids.tar.xz "$SCRATCH/rapids" || return
        mkdir -p "$SITE" && cp -a "$SCRATCH/rapids/site/." "$SITE/" && rm -rf "$SCRATCH/rapids" || return
        # cuML's packages look for CUDA's libraries next to themselves
        nvidia="$("$python" -c 'import nvidia; print(list(nvidia.__path__)[0])')" && ln -sfn "$nvidia" "$SITE/nvidia"
    fi
}

# what these parts import and this machine lacks: .whl brings it
missing() {
    case " $* " in
        *" tests "* | *" rapids "* | *" embed "* | *" job "* | *" million "* | *" store "* | *" profile "*) ;;
        *) return ;;
    esac
    "$python" - pydantic pymilvus FlagEmbedding hdbscan <<'EOF'
import sys
from importlib.util import find_spec

print(" ".join(name for name in sys.argv[1:] if find_spec(name) is None))
EOF
}

# the kernels of numba are compiled and the million's headlines made in the background, while tests and embedding use
# the GPU: a minute and more
warm() {
    [ -z "${DEVICE:-}" ] && [ ! -f "$SCRATCH/warm.log" ] || return
    local run=("$python" -W ignore scripts/bench/gpu.py --device cpu --out "$SCRATCH/warm")
    CUDA_VISIBLE_DEVICES='' "${run[@]}" job --quick --scratch "$SCRATCH/warm" >"$SCRATCH/warm.log" 2>&1 &
    case " $* " in
        *" million "*) CUDA_VISIBLE_DEVICES='' "${run[@]}" texts ${ROWS:+--rows "$ROWS"} ${QUICK:+--quick} \
            --shape bge-m3 --scratch "$SCRATCH" >"$SCRATCH/texts.log" 2>&1 & ;;
    esac
}

# limited SECONDS COMMAND...: run it for so many seconds at most, or until LIMIT is reached
limited() {
    local left=$((end - SECONDS)) limit=$1
    shift
    if [ "$left" -lt 15 ]; then
        echo "gpu: no time left for: $*"
        return 1
    fi
    timeout --signal=INT --kill-after=10 $((limit < left ? limit : left)) "$@"
}

part() {
    local began=$SECONDS rc=0
    echo "gpu: ==== $1"
    case "$1" in
        # the job comes last: by then `warm` has compiled its kernels
        tests) tests 120 tests tests/gpu/test_encoder.py tests/gpu/test_exact.py tests/gpu/test_graph_hdbscan.py \
            tests/gpu/test_device.py --deselect "tests/gpu/test_device.py::test_the_job_runs_on_the_device[milvus]" || rc=$? ;;
        rapids) tests 60 rapids tests/gpu/test_rapids.py || rc=$? ;;
        profile) counters || rc=$? ;;
        peaks) bench 40 "$1" || rc=$? ;;
        embed) bench 110 "$1" || rc=$? ;;
        job) bench 130 "$1" || rc=$? ;;
        knn) bench 110 "$1" || rc=$? ;;
        graph) bench 60 "$1" || rc=$? ;;
        umap) bench 80 "$1" || rc=$? ;;
        brute) bench 60 "$1" || rc=$? ;;
        million) bench 400 "$1" || rc=$? ;;
        stories) bench 200 "$1" || rc=$? ;;
        cluster) bench 300 "$1" || rc=$? ;;
        store) bench 120 "$1" || rc=$? ;;
        *) echo "gpu: no part '$1'; there are: first second ${all[*]}" && rc=2 ;;
    esac
    echo "gpu: ==== $1: exit code $rc after $((SECONDS - began)) s"
    [ "$rc" -ne 0 ] || touch "$SCRATCH/done/$1"
}

# tests SECONDS NAME FILE...
tests() {
    local limit=$1 name=$2
    shift 2
    limited "$limit" "$python" -m pytest -m gpu "$@" -q -p no:cacheprovider --durations=8 --junitxml="$OUT/$name.xml"
}

bench() {
    limited "$1" "$python" -W ignore scripts/bench/gpu.py "$2" --out "$OUT" --scratch "$SCRATCH" \
        ${DEVICE:+--device "$DEVICE"} ${ROWS:+--rows "$ROWS"} ${QUICK:+--quick}
}

# time, memory and tensor throughput of the kernels of one pass; the GPU's clocks are not changed
counters() {
    command -v ncu >/dev/null || { echo "gpu: ncu is not installed" && return 0; }
    limited 120 ncu --clock-control none --target-processes all --profile-from-start off --launch-count 80 --csv \
        --section SpeedOfLight --section ComputeWorkloadAnalysis --log-file "$OUT/ncu.csv" \
        "$python" -W ignore scripts/bench/gpu.py kernels --out "$SCRATCH/ncu" --scratch "$SCRATCH" \
        >"$SCRATCH/ncu.log" 2>&1 || { tail -5 "$SCRATCH/ncu.log" "$OUT/ncu.csv"; return 1; }
    tail -20 "$OUT/ncu.csv"
}

all=(tests embed job rapids knn graph umap million brute stories cluster store profile peaks)
first=(tests embed million)
second=(knn graph million rapids brute umap profile)
setup || echo "gpu: not everything could be unpacked; continuing without it"
chosen=("$@")
case "$*" in
    first) chosen=("${first[@]}") ;;
    second) chosen=("${second[@]}") ;;
    # the last is left out: other parts measure the peaks
    "") chosen=("${all[@]:0:13}") ;;
esac
lacking="$(missing "${chosen[@]}")"
if [ -n "$lacking" ]; then
    echo "gpu: $python lacks $lacking: carry .whl to this machine (scripts/bench/gpu_pack.sh), or set PYTHON"
    exit 2
fi
warm "${chosen[@]}"
for name in "${chosen[@]}"; do
    if [ $# -eq 0 ] && [ -f "$SCRATCH/done/$name" ]; then
        echo "gpu: ==== $name: done before on this machine"
    else
        part "$name"
    fi
done
"$python" scripts/bench/gpu.py table --out "$OUT"
