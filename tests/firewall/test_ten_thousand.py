"""Ten thousand lines, half of them by names: read, compared, cleaned and proven within bounds of time and memory."""

from __future__ import annotations

import json
import subprocess
import sys

SECONDS, MEGABYTES = 40, 400
"""Of processor time, so that a busy machine does not count; four times what it takes on a slow one."""


def test_ten_thousand_lines_are_cleaned_within_bounds() -> None:
    command = [sys.executable, "-m", "tests.bench.rulebase", "names", "10000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    found = json.loads(done.stdout)
    assert found["read"] + found["compared"] + found["cleaned"] < SECONDS
    assert found["peak"] < MEGABYTES
    assert 0 < found["left"] < 10_000, "some went, and it was proven that nothing changed"
    assert found["undecided"] == 0
