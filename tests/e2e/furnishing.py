"""Something to look at on identity's pages: told to a running demo by a process that lives in its environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.demo import parts
from deploy.demo.places import REPOSITORY
from deploy.demo.secrets import load_or_make
from tests.running import Running

COMMAND = "from tests.e2e import contents; contents.main()"


@contextmanager
def furnished(demo: Running) -> Iterator[dict[str, str]]:
    """The names of what there is to look at. An identity provider answers for as long as this lasts."""
    environment = {**os.environ, **parts.console_environment(demo.places, load_or_make(demo.places.state))}
    child = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "--no-imports", "-v", "0", "-c", COMMAND],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None and child.stdout is not None
    try:
        line = child.stdout.readline()
        assert line, "furnishing failed; its words are above"
        yield json.loads(line)
    finally:
        child.stdin.close()
        child.wait(20)
