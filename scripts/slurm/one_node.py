"""A real Slurm cluster of one node, for tests and trials: munged, slurmctld and slurmd, in a folder and on ports of
their own. Needs root and Debian's packages: apt-get install slurm-wlm munge.

    python scripts/slurm/one_node.py --data runs/slurm       it prints what other shells need: export SLURM_CONF=...

It says that it has 16 processors and 8 GPUs, whatever the machine has. Jobs of the partition `low` are requeued when
one of the partition `high` needs their place. Ctrl-C stops it.
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from local_server import dies_with_parent, free_ports

CPUS, GPUS = 16, 8
START_SECONDS = 60

_CONF = """\
ClusterName=onenode
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# cred_expire is also how long a requeued job waits before it starts again
AuthInfo=socket={data}/munge/socket,cred_expire=5
StateSaveLocation={data}/state
SlurmdSpoolDir={data}/spool
SlurmctldPidFile={data}/slurmctld.pid
SlurmdPidFile={data}/slurmd.pid
SlurmctldLogFile={data}/slurmctld.log
SlurmdLogFile={data}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
KillWait=20
MinJobAge=3600
SchedulerParameters=bf_interval=2,sched_min_interval=1000000,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=65536 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=low Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime={grace}
PartitionName=high Nodes={host} MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


class SlurmError(Exception):
    """The cluster cannot be started, or a command of Slurm failed; the message gives the reason."""


class OneNode:
    """A cluster with its data folder. `grace`: seconds between the signal and the end of a preempted job."""

    def __init__(self, data: Path, grace: int = 60) -> None:
        missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
        if missing or os.geteuid() != 0:
            why = f"no {', '.join(missing)}: apt-get install slurm-wlm munge" if missing else "it needs root"
            raise SlurmError(f"no Slurm here: {why}")
        self.data, self._grace = data.resolve(), grace
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def environment(self) -> dict[str, str]:
        """The variables that Slurm's commands need to find this cluster."""
        return {"SLURM_CONF": str(self.data / "slurm.conf")}

    def start(self) -> None:
        """Start the daemons and wait for the node.

        Raises:
            SlurmError: a daemon ended, or the node did not come up.
        """
        for name in ("state", "spool", "munge"):
            (self.data / name).mkdir(parents=True, exist_ok=True)
        # munged and sshd-like checks refuse folders that others may write to
        (self.data / "munge").chmod(0o755)
        key = self.data / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self._configure()
        munge = self.data / "munge"
        files = [f"--{name}-file={munge / name}" for name in ("key", "pid", "log", "seed")]
        self._daemon("munged", "munged", "--foreground", "--force", f"--socket={munge / 'socket'}", *files)
        self._wait_for(lambda: (munge / "socket").exists(), "munged")
        self._daemon("slurmctld", "slurmctld", "-D", "-c")
        self.start_node()

    def start_node(self) -> None:
        """Start slurmd and wait until the node takes jobs."""
        self._daemon("slurmd", "slurmd", "-D", "-N", socket.gethostname().partition(".")[0])
        self._wait_for(lambda: self.node_state().strip("*") in ("idle", "mix", "alloc"), "slurmd")

    def node_state(self) -> str:
        """The node's state as sinfo says it; empty where it does not answer."""
        return self.call("sinfo", "--noheader", "--partition=low", "--format=%t", check=False).strip()

    def kill_node(self) -> None:
        """slurmd and everything that it started end at once, as when the machine loses power."""
        self._stop("slurmd", signal.SIGKILL)
        for process in self._steps():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def stop(self) -> None:
        """Cancel all jobs and end the daemons."""
        if "slurmctld" in self._daemons:
            self.call("scancel", "--user=root", check=False)
            end = time.monotonic() + 30
            while time.monotonic() < end and self.call("squeue", "--noheader", check=False).strip():
                time.sleep(0.5)
        for name in ("slurmd", "slurmctld", "munged"):
            self._stop(name, signal.SIGTERM)

    def call(self, *command: str, check: bool = True, **options: object) -> str:
        """What a command of Slurm prints.

        Raises:
            SlurmError: it failed, and `check`.
        """
        environment = os.environ | self.environment | dict(options.pop("env", {}))  # type: ignore[call-overload]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, **options)  # type: ignore[call-overload]
        if check and done.returncode:
            raise SlurmError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
        return str(done.stdout)

    def job(self, number: str) -> dict[str, str]:
        """What `scontrol show job` says of a job, by field."""
        words = self.call("scontrol", "--oneliner", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def _steps(self) -> list[int]:
        """The processes that Slurm started on the node: its step daemons and what runs under them."""
        conf, found = f"SLURM_CONF={self.data / 'slurm.conf'}".encode(), []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                variables = (folder / "environ").read_bytes().split(b"\0")
                is_task = any(variable.startswith(b"SLURM_JOB_ID=") for variable in variables)
                is_daemon = (folder / "comm").read_text().strip() == "slurmstepd"
                if conf in variables and (is_task or is_daemon):
                    found.append(int(folder.name))
        return [process for process in found if process != os.getpid()]

    def _configure(self) -> None:
        host = socket.gethostname().partition(".")[0]
        controller, node = free_ports(2)
        text = _CONF.format(
            host=host,
            controller_port=controller,
            node_port=node,
            data=self.data,
            cpus=CPUS,
            gpus=GPUS,
            grace=self._grace,
        )
        (self.data / "slurm.conf").write_text(text)
        # Slurm wants device files: these are further names of /dev/null
        for number in range(GPUS):
            if not (self.data / f"gpu{number}").exists():
                os.mknod(self.data / f"gpu{number}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        gpus = f"{self.data}/gpu[0-{GPUS - 1}]"
        (self.data / "gres.conf").write_text(f"AutoDetect=off\nNodeName={host} Name=gpu File={gpus}\n")

    def _daemon(self, name: str, *command: str) -> None:
        with (self.data / f"{name}.out").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                dies_with_parent(command),
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _stop(self, name: str, number: signal.Signals) -> None:
        process = self._daemons.pop(name, None)
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _wait_for(self, ready: object, name: str) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._daemons[name].poll() is None:
            if ready():  # type: ignore[operator]
                return
            time.sleep(0.2)
        tail = (self.data / f"{name}.out").read_text(errors="replace")[-800:]
        self.stop()
        raise SlurmError(f"{name} did not start within {START_SECONDS} s: {tail}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the data folder (default: a temporary one)")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        with tempfile.TemporaryDirectory(prefix="slurm-") as temporary:
            cluster = OneNode(arguments.data or Path(temporary))
            cluster.start()
            print(f"export SLURM_CONF={cluster.environment['SLURM_CONF']}      Ctrl-C stops it", flush=True)
            try:
                while True:
                    time.sleep(1)
            finally:
                cluster.stop()
    except SlurmError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
