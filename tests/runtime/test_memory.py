"""Memory goes back to the system."""

import subprocess
import sys

import pytest

HELD = """
import gc, sys
from job.runtime.memory import give_back
def held():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS:"))
gc.disable()
# small pieces, which the C library keeps when they are freed: a last one holds the heap's end
rows = [bytearray(100_000) for _ in range(3_000)]
rows[-1], last = None, bytearray(100)
rows.append(rows)
full = held()
del rows
give_back()
print((full - held()) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_only_refers_to_itself_is_given_back() -> None:
    said = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    assert float(said.stdout) > 250
