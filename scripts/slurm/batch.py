"""The text of the batch scripts, a function of their options. Needs Python 3.9 and nothing else.

`run.sbatch` is what `script(Options())` returns, and a test compares the two:

    python3 scripts/slurm/batch.py > scripts/slurm/run.sbatch
"""

import shlex
import sys
from dataclasses import dataclass

# of each link of the chain: what it does, whether it takes all GPUs, whether it needs Milvus, and its steps.
# `all`: one process per GPU; `one`: one process
LINKS = {
    "run": ("all stages in one allocation", True, True, ['all run "$config" "$@"']),
    "embed": (
        "ingest by one process, then embed by all",
        True,
        False,
        ['one stage ingest "$config" "$@"', 'all stage embed "$config" "$@"'],
    ),
    "store": ("vectors to Milvus", False, True, ['one stage store "$config" "$@"']),
    "neighbors": ("the neighbor graph, shared by all", True, True, ['all stage neighbors "$config" "$@"']),
    "finish": ("everything else", False, True, ['one run "$config" "$@"']),
}
CHAIN = ("embed", "store", "neighbors", "finish")


@dataclass(frozen=True)
class Options:
    """What a batch script is made from. Empty text: the line is left out, or the cluster's default applies."""

    config: str = "configs/slurm.yaml"
    words: tuple[str, ...] = ()
    name: str = "headlines"
    partition: str = ""
    account: str = ""
    qos: str = ""
    nodes: int = 1
    gpus_per_node: int = 4
    cpus_per_gpu: int = 8
    mem: str = "64G"
    time: str = "04:00:00"
    logs: str = ""
    venv: str = ".venv"
    conda: str = ""
    container: str = ""
    bind: str = ""
    milvus_uri_file: str = ""
    hf_home: str = ""
    offline: bool = True
    scratch: str = ""


_HEAD = """\
#!/usr/bin/env bash
# @WHAT@: @STEPS@.
@HOW@
#SBATCH --job-name=@NAME@
@PLACE@
#SBATCH --nodes=@NODES@
# one process per GPU: the same number twice
#SBATCH --gpus-per-node=@GPUS@
#SBATCH --ntasks-per-node=@GPUS@
#SBATCH --cpus-per-task=@CPUS@
# memory of a node; README.md says how much for how many headlines; 0: all of it
#SBATCH --mem=@MEM@
#SBATCH --time=@TIME@
# two minutes before the time limit: finish the shard, save it, and submit again
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=@OUTPUT@

config=@CONFIG@
# where Python is: one of a venv's folder, a conda environment (name or folder), an Apptainer image
venv=@VENV@
conda=@CONDA@
container=@CONTAINER@
# folders that the container sees besides the working folder, as in /data,/scratch
bind=@BIND@
# a file with the address of the Milvus server, as scripts/milvus/milvus.sbatch writes it; empty: store.uri holds
milvus_uri_file=@MILVUS@
# where downloaded models are; empty: ~/.cache/huggingface
hf_home=@HF_HOME@
# 1: the nodes have no network, so nothing is looked up there
offline=@OFFLINE@
# a folder on the node's own disk for temporary files; empty: what Slurm or the node names
scratch=@SCRATCH@
# seconds to wait for the Milvus server's file
milvus_wait=300
"""

_RUN_HOW = """\
#
#   sbatch scripts/slurm/run.sbatch                                   in the folder that has `job` in it
#   sbatch --nodes=4 scripts/slurm/run.sbatch my.yaml cluster.recipe=topics run_dir=runs/mine
#
# Options of sbatch win over the #SBATCH lines; edit those and the variables below them. Made by batch.py."""

_BODY = r"""
die() { echo "$0: $1" >&2; exit 2; }
set -u
case "${1-}" in "" | *=*) ;; *) config="$1"; shift ;; esac
[ -n "$config" ] || die "no configuration: add the line  config=configs/slurm.yaml"
[ -f "$config" ] || die "no file '$config' in $PWD: add the line  config=/path/to/your.yaml"
[ -n "${SLURM_JOB_ID-}" ] || die "this is a batch script: sbatch $0"
[ -n "$venv$conda$container" ] || die "no Python: add the line  venv=.venv  (or conda=NAME, or container=IMAGE.sif)"

scratch="${scratch:-${SLURM_TMPDIR:-${TMPDIR:-/tmp}}}"
export TMPDIR="$scratch" OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
[ -z "$hf_home" ] || export HF_HOME="$hf_home"
[ "$offline" != 1 ] || export HF_HUB_OFFLINE=1
if [ -n "$container" ]; then
    [ -f "$container" ] || die "no image '$container': add the line  container=/path/to/image.sif"
    job=(apptainer exec --nv --pwd "$PWD" --bind "$PWD,$scratch${bind:+,$bind}" "$container" python -m job)
elif [ -n "$conda" ]; then
    command -v conda >/dev/null || die "no conda on PATH: add the line  source /path/to/conda/etc/profile.d/conda.sh"
    eval "$(conda shell.bash hook)"
    set +u # activation scripts of packages read unset variables
    conda activate "$conda" || die "no environment '$conda': add the line  conda=NAME  (conda env list has the names)"
    set -u
    job=(python -m job)
else
    [ -x "$venv/bin/python" ] || die "no Python in '$venv': add the line  venv=/path/to/.venv"
    job=("$venv/bin/python" -m job)
fi

# Bash acts on a signal when its child in the foreground has ended: so srun runs in the background. TERM goes on as
# USR1, since srun kills its processes at a TERM.
srun= stopped= code=0
stop() { stopped=1; [ -z "$srun" ] || kill -USR1 "$srun" 2>/dev/null; }
trap stop USR1 USR2 TERM
step() { # step OPTIONS_OF_SRUN… -- WORDS…: processes of the job; sets code
    local options=()
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    [ "$code" = 0 ] || return 0
    if [ -n "$stopped" ]; then code=75; return 0; fi
    # neither ends the others when one ends: each finishes its shard, and those that wait see who failed
    srun --kill-on-bad-exit=0 --wait=0 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" "${options[@]}" "${job[@]}" "$@" &
    srun=$!
    while :; do
        wait "$srun"
        code=$?
        kill -0 "$srun" 2>/dev/null || break # else a signal has interrupted the wait
    done
    srun=
}
all() { step -- "$@"; }
one() { step --nodes=1 --ntasks=1 -- "$@"; }
"""

_MILVUS = r"""
if [ -n "$milvus_uri_file" ]; then
    until [ -s "$milvus_uri_file" ] || [ "$SECONDS" -ge "$milvus_wait" ] || [ -n "$stopped" ]; do sleep 2; done
    if [ -s "$milvus_uri_file" ]; then
        MILVUS_URI="$(cat "$milvus_uri_file")"
        export MILVUS_URI
    else
        echo "$0: no Milvus server has written its address to $milvus_uri_file within $milvus_wait s" >&2
        code=75
    fi
fi
"""

_END = r"""
[ "$code" != 0 ] || exit 0
# 75: stopped on the way, and worth starting again; the command says why not, and counts restarts that finish nothing
again=0
"${job[@]}" requeue "$code" "$config" "$@" || again=$?
if [ "$again" = 75 ]; then
    # a job that somebody cancels, or that Slurm is requeuing already, is no longer RUNNING; where Slurm does not say,
    # it is taken to run
    for wait in 5 10 0; do
        state="$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T)" && break
        state=RUNNING
        sleep "$wait"
    done
    if [ "$state" = RUNNING ]; then
        scontrol requeue "$SLURM_JOB_ID" || echo "$0: cannot be requeued: submit it again to continue" >&2
    fi
    exit 75
fi
[ "$code" != 2 ] || again=2
exit "$again"
"""


def script(options: Options, link: str = "run") -> str:
    """The batch script of one link of the chain, or of the whole job (`run`). The text depends on nothing else."""
    what, wide, needs_milvus, steps = LINKS[link]
    fields = {
        "WHAT": "The whole job" if link == "run" else f"The link '{link}' of a chain",
        "STEPS": what,
        "HOW": _RUN_HOW if link == "run" else "# Made by submit.sh; options of sbatch win over these lines.",
        "NAME": shlex.quote(job_name(options, link)),
        "PLACE": "\n".join(_place(options)),
        "NODES": str(options.nodes if wide else 1),
        "GPUS": str(options.gpus_per_node if wide else 1),
        "CPUS": str(options.cpus_per_gpu),
        "MEM": shlex.quote(options.mem),
        "TIME": shlex.quote(options.time),
        "OUTPUT": shlex.quote(f"{options.logs}/%x-%j.log" if options.logs else "%x-%j.log"),
        "CONFIG": shlex.quote(options.config),
        "VENV": _value(options.venv),
        "CONDA": _value(options.conda),
        "CONTAINER": _value(options.container),
        "BIND": _value(options.bind),
        "MILVUS": _value(options.milvus_uri_file),
        "HF_HOME": _value(options.hf_home),
        "OFFLINE": str(int(options.offline)),
        "SCRATCH": _value(options.scratch),
    }
    head = _HEAD
    for name, value in fields.items():
        head = head.replace(f"@{name}@", value)
    words = f"set -- {shlex.join(options.words)}\n" if options.words else ""
    work = "\n" + words + "\n".join(steps) + "\n"
    return head + _BODY + (_MILVUS if needs_milvus else "") + work + _END


def job_name(options: Options, link: str) -> str:
    """The name of a link's Slurm job."""
    return options.name if link == "run" else f"{options.name}-{link}"


def _place(options: Options) -> list[str]:
    """The lines for partition, account and qos; one that is not given stands there as a comment to fill in."""
    found = []
    for name, example in (("partition", "gpu"), ("account", "project")):
        value = getattr(options, name)
        found.append(f"#SBATCH --{name}={shlex.quote(value)}" if value else f"##SBATCH --{name}={example}")
    return [*found, *([f"#SBATCH --qos={shlex.quote(options.qos)}"] if options.qos else [])]


def _value(text: str) -> str:
    """The text as the value of a shell variable."""
    return shlex.quote(text) if text else ""


if __name__ == "__main__":
    sys.stdout.write(script(Options()))
