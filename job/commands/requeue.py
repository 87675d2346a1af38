"""`requeue`: for batch scripts, whether a run that stopped is to be started again."""

import argparse
import os
import signal
from collections.abc import Iterator

from job.commands.command import Command, add_config, load_config
from job.runtime import ownership
from job.runtime.errors import EXIT_DONE, EXIT_RESUMABLE, BadInput, JobError, Resumable
from job.runtime.holders import Holder, how_it_ended, machine, started
from job.runtime.ranks import launch
from job.runtime.restarts import FRUITLESS, note_stop
from job.runtime.rundir import RunDir

# shells and srun report a process that a signal ended as 128 + its number
_SIGNALED = 128
_NAMED = 8


class RequeueCommand(Command):
    name = "requeue"
    help = "for batch scripts, after a run that ended with CODE: exit code 75 if it is to be started again"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("code", type=int, metavar="CODE", help="the exit code of the run, or of srun")
        add_config(parser)

    def run(self, arguments: argparse.Namespace) -> Iterator[str]:
        run = RunDir(load_config(arguments).run_dir)
        ended = _of_this_start(run)
        wrong = [one for one in ended if one.ended is not None and one.ended["code"] not in (0, EXIT_RESUMABLE)]
        causes = [one for one in wrong if not one.because_of_others] or wrong
        if causes:
            raise JobError(f"not started again: {_list(causes)}. Mend the cause, then submit the same job again")
        if arguments.code == EXIT_DONE:
            yield f"not started again: exit code 0, the run in '{run.path}' has ended"
            return
        if arguments.code != EXIT_RESUMABLE and arguments.code < _SIGNALED:
            raise JobError(
                f"not started again: exit code {arguments.code}, before any process had the run folder: the lines "
                "above say why"
            )
        lost = [one for one in ended if one.failed or one.state() != "ended"]
        stopped = _list([one for one in lost if not one.because_of_others] or lost)
        # Slurm sends TERM to jobs whose place others take, and warns of the time limit by USR1
        stops = [one.ended["message"] for one in ended if one.ended is not None and one.failed]
        preempted = all("SIGTERM" in stop for stop in stops) if stops else arguments.code == _SIGNALED + signal.SIGTERM
        slurm = os.environ.get("SLURM_JOB_ID", "")
        if not slurm and not ownership.is_run_folder(run.path):
            raise BadInput(f"run_dir = '{run.path}' is no run folder: name the run_dir of the run that ended")
        # a batch job that was killed before it had the folder
        run.path.mkdir(parents=True, exist_ok=True)
        ownership.claim(run.path)
        fruitless = note_stop(run, slurm or _script(), preempted)
        if fruitless >= FRUITLESS:
            raise JobError(
                f"not started again: {fruitless} restarts in a row have finished no shard, batch or stage; the last "
                f"ended because: {stopped}"
            )
        raise Resumable(f"to be started again: {stopped}")


def _of_this_start(run: RunDir) -> list[Holder]:
    """The processes of this start of this Slurm job; all where there is no Slurm."""
    this, all_of_them = launch(), [holder for holder in run.holders() if holder.facts]
    if "slurm" not in this:
        return all_of_them
    return [
        one
        for one in all_of_them
        if (one.facts["launch"].get("slurm"), one.facts["launch"].get("start")) == (this["slurm"], this["start"])
    ]


def _script() -> str:
    """Where there is no Slurm: the process group, which is that of the script that calls the commands in turn."""
    group = os.getpgrp()
    return f"{machine()} {group} {started(group)}"


def _list(processes: list[Holder]) -> str:
    lines = [how_it_ended(one) for one in sorted(processes, key=lambda one: one.rank)]
    more = [f"and {len(lines) - _NAMED} more"] if len(lines) > _NAMED else []
    return "; ".join(lines[:_NAMED] + more) or "no process had started"
