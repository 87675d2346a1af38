"""What is left of memory and disk: the real system's figures, and control groups that limit them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from control_group import limited_group

from job.runtime import room
from job.runtime.room import disk_room, memory_room

ROOM = "from job.runtime.room import memory_room; r = memory_room(); print(r.bytes, r.where)"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_is_held_and_what_is_free_are_part_of_the_machine() -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    held = bytearray(os.urandom(64)) * (2**29 // 64)
    found, free = memory_room(), free_memory()
    assert found is not None
    mine = int(Path("/proc/self/statm").read_text().split()[1]) * page
    assert len(held) < mine < found.bytes < page * os.sysconf("SC_PHYS_PAGES")
    # a control group may allow less. Other processes take and free some between the two readings
    if found.where == "on this machine":
        assert abs(found.bytes - mine - free) < 2**27


def free_memory() -> int:
    """The bytes that programs such as `free` call available."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) * 1024


def test_a_control_group_limits_it() -> None:
    with limited_group(700 * 2**20) as enter:
        said = subprocess.run([sys.executable, "-c", enter + ROOM], capture_output=True, text=True, check=True)
    size, _, where = said.stdout.strip().partition(" ")
    assert 0 < int(size) <= 720 * 2**20
    assert where == "in this control group (a container or a batch job)"


def test_the_groups_above_count_too_and_cached_files_are_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "slurm" / "job_7"
    inner.mkdir(parents=True)
    for folder, limit, used in ((tmp_path / "slurm", 1_000, 600), (inner, "max", 500)):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text("anon 100\ninactive_file 150\nactive_file 100\n")
    monkeypatch.setattr(room, "_CGROUPS", tmp_path)
    assert room.group_rooms("0::/slurm/job_7\n") == [650]
    assert room.group_rooms("0::/elsewhere\n") == []
    assert room.group_rooms("4:memory:/slurm/job_7\n7:cpu,cpuacct:/\n") == []


def test_a_folder_that_is_not_there_yet_is_on_the_disk_of_the_one_above(tmp_path: Path) -> None:
    assert abs(disk_room(tmp_path / "a" / "b").bytes - disk_room(tmp_path).bytes) < 2**30
