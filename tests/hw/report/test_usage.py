import subprocess
import sys
import time

from hw.report.usage import Usage


def test_memory_of_children_counts():
    with Usage() as usage:
        hold = "import time; held = bytearray(200_000_000); time.sleep(1.5)"
        subprocess.run([sys.executable, "-c", hold], check=True)
    assert 1.5 < usage.seconds < 30
    assert usage.peak_bytes > 200_000_000


def test_short_work_is_seen():
    with Usage() as usage:
        time.sleep(0)
    assert usage.peak_bytes > 1_000_000
