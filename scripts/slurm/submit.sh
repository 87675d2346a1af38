#!/usr/bin/env bash
# Submits the job as a chain: embed on many GPUs, store, neighbors on many GPUs, the rest on one, each after the one before.
#   bash scripts/slurm/submit.sh configs/slurm.yaml --nodes 8 --gpus-per-node 4 --partition gpu --time 04:00:00
#   bash scripts/slurm/submit.sh configs/slurm.yaml input.path='/data/*.parquet' run_dir=/scratch/me/run --dry-run
#   bash scripts/slurm/submit.sh --help
here="$(dirname "$0")"
exec python3 "$here/submit.py" "$@"
