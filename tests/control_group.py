"""A control group of the kernel with a memory limit, as a container or a Slurm job has; else a skip."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

_TOPS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)


@contextmanager
def limited_group(bytes: int) -> Iterator[str]:
    """A group that may use so much memory: Python code by which a process enters it."""
    for top, limit in _TOPS:
        group = top / f"test-{uuid4().hex}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(bytes))
        except OSError:
            group.rmdir()
            continue
        try:
            yield f"import os; open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
        finally:
            group.rmdir()
        return
    pytest.skip("no control group with a memory limit can be made here")
