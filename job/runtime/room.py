"""How much memory and disk is left for this process."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
# cgroup version 1 writes a number of this size where there is no limit
_NO_LIMIT = 2**60


@dataclass(frozen=True)
class Room:
    """`bytes` that are free, and `where`: what limits them."""

    bytes: int
    where: str


def memory_room() -> Room | None:
    """The memory that this process can hold in all, with what it holds already; None where the system does not say.

    The smallest of what the machine has left and of what its control groups (a container, a Slurm job) allow.
    """
    if sys.platform != "linux":
        return None
    mine = _kib("/proc/self/status", "VmRSS:")
    left = [Room(_kib("/proc/meminfo", "MemAvailable:"), "on this machine")]
    left += [Room(free, "in this control group (a container or a batch job)") for free in _own_group_rooms()]
    least = min(left, key=lambda room: room.bytes)
    return Room(max(least.bytes, 0) + mine, least.where)


def disk_room(folder: Path) -> Room:
    """The free space of the file system that `folder`, which need not exist yet, is or will be on."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return Room(shutil.disk_usage(there).free, f"on the disk of '{folder}'")


def _kib(path: str, name: str) -> int:
    """The bytes in the line of a file in /proc that begins with `name`."""
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


def _own_group_rooms() -> list[int]:
    try:
        return group_rooms(Path("/proc/self/cgroup").read_text())
    except OSError:
        return []


def group_rooms(groups: str) -> list[int]:
    """The bytes left in the control groups that `/proc/self/cgroup` lists, and those above, where they are limited."""
    found: list[int] = []
    for line in groups.splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = _CGROUPS / "memory" if controllers else _CGROUPS
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
        group = top / name.strip("/")
        above = {folder for folder in (group, *group.parents) if folder.is_relative_to(top)}
        found += [free for folder in above if (free := _left(folder, *names)) is not None]
    return found


def _left(folder: Path, limit_name: str, used_name: str) -> int | None:
    try:
        limit = (folder / limit_name).read_text().strip()
        used = int((folder / used_name).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    if limit == "max" or int(limit) >= _NO_LIMIT:
        return None
    # files that are only cached make room when it is needed, also those that were read more than once
    cached = sum(int(stat.get(f"total_{name}", stat.get(name, 0))) for name in ("inactive_file", "active_file"))
    return int(limit) - used + cached
