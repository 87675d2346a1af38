#!/usr/bin/env bash
# Tests and benchmarks on a machine with one GPU and no network: the tests first, then the most important benchmarks.
#
#   bash scripts/bench/gpu_pack.sh                  # first, on a machine with a network: packs .whl and .rapids
#   bash scripts/bench/gpu.sh tests embed           # needs .whl                   (each line ends within 9 minutes)
#   bash scripts/bench/gpu.sh rapids job knn graph  # needs .rapids, on the same machine: $SITE has what .whl held
#   bash scripts/bench/gpu.sh stories umap cluster  # on the same machine
#   bash scripts/bench/gpu.sh store profile         # on the same machine; profile: kernel counters, by ncu
#   bash scripts/bench/gpu.sh                       # where everything is installed: all parts until the time is over
#   bash scripts/bench/gpu.sh                       # ... the same again: the parts that are not done yet
#
# Without names, a part that has ended well on this machine is not done again (its mark is in $SCRATCH/done; FRESH=1
# forgets the marks). `job` goes on in its run folder after the last stage that was finished.
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

# the kernels of numba are compiled in the background, while tests and embedding use the GPU: a minute and more
warm() {
    [ -n "${DEVICE:-}" ] || [ -f "$SCRATCH/warm.log" ] || CUDA_VISIBLE_DEVICES='' "$python" -W ignore scripts/bench/gpu.py \
        job --device cpu --quick --out "$SCRATCH/warm" --scratch "$SCRATCH/warm" >"$SCRATCH/warm.log" 2>&1 &
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
        tests) limited 240 "$python" -m pytest -m gpu tests/gpu -q -p no:cacheprovider --durations=8 \
            --junitxml="$OUT/tests.xml" || rc=$? ;;
        rapids) limited 120 "$python" -m pytest -m gpu tests/gpu/test_rapids.py tests/gpu/test_device.py -q \
            -p no:cacheprovider --junitxml="$OUT/rapids.xml" || rc=$? ;;
        profile) counters || rc=$? ;;
        peaks) bench 40 "$1" || rc=$? ;;
        embed) bench 200 "$1" || rc=$? ;;
        job) bench 330 "$1" || rc=$? ;;
        knn) bench 150 "$1" || rc=$? ;;
        graph) bench 120 "$1" || rc=$? ;;
        stories) bench 300 "$1" || rc=$? ;;
        cluster) bench 400 "$1" || rc=$? ;;
        umap) bench 200 "$1" || rc=$? ;;
        store) bench 120 "$1" || rc=$? ;;
        *) echo "gpu: no part '$1'; there are: ${all[*]}" && rc=2 ;;
    esac
    echo "gpu: ==== $1: exit code $rc after $((SECONDS - began)) s"
    [ "$rc" -ne 0 ] || touch "$SCRATCH/done/$1"
}

bench() {
    limited "$1" "$python" -W ignore scripts/bench/gpu.py "$2" --out "$OUT" --scratch "$SCRATCH" \
        ${DEVICE:+--device "$DEVICE"} ${ROWS:+--rows "$ROWS"} ${QUICK:+--quick}
}

# time, memory and tensor throughput of the kernels of the first forward passes; the GPU's clocks are not changed
counters() {
    command -v ncu >/dev/null || { echo "gpu: ncu is not installed" && return 0; }
    limited 150 ncu --clock-control none --target-processes all --launch-skip 400 --launch-count 60 --csv \
        --metrics gpu__time_duration.sum,sm__inst_executed_pipe_tensor.avg.pct_of_peak_sustained_active,dram__throughput.avg.pct_of_peak_sustained_elapsed \
        "$python" -W ignore scripts/bench/gpu.py embed --rows 3000 --out "$SCRATCH/ncu" --scratch "$SCRATCH" \
        >"$OUT/ncu.csv" 2>"$SCRATCH/ncu.log" || { tail -5 "$SCRATCH/ncu.log"; return 1; }
    tail -20 "$OUT/ncu.csv"
}

all=(tests embed job knn graph stories umap cluster store profile peaks rapids)
setup || echo "gpu: not everything could be unpacked; continuing without it"
warm
# the last two are left out: the part tests includes the tests of rapids, and other parts measure the peaks
chosen=("$@")
[ $# -gt 0 ] || chosen=("${all[@]:0:10}")
for name in "${chosen[@]}"; do
    if [ $# -eq 0 ] && [ -f "$SCRATCH/done/$name" ]; then
        echo "gpu: ==== $name: done before on this machine"
    else
        part "$name"
    fi
done
"$python" scripts/bench/gpu.py table --out "$OUT"
