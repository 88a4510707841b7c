"""The demo's supervisor, with children that tell what they saw when they were asked to end."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

from deploy.demo.supervisor import Child, Supervisor

# Asked to end, it says so and ends when all of ``after`` have said the same: sooner it cannot, later it is killed.
CHILD = """
import pathlib, signal, sys, time
folder, name, *after = sys.argv[1:]
folder = pathlib.Path(folder)

def end(*_):
    (folder / f"{name}.asked").touch()
    while not all((folder / one).exists() for one in after):
        time.sleep(0.01)
    (folder / f"{name}.ended").touch()
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
(folder / f"{name}.up").touch()
while True:
    time.sleep(0.05)
"""
STORE = """
import pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0 if all((folder / one).exists() for one in sys.argv[2:]) else 3))
(folder / "store.up").touch()
while True:
    time.sleep(0.05)
"""


def test_all_are_asked_at_once_and_the_stores_when_the_others_are_gone(tmp_path: Path) -> None:
    def child(name: str, code: str, *arguments: str, store: bool = False) -> Child:
        argv = [sys.executable, "-c", code, str(tmp_path), *arguments]
        return Child(name, argv, {}, ready=(tmp_path / f"{name}.up").exists, store=store)

    children = [
        child("store", STORE, "first.ended", "second.ended", store=True),
        child("first", CHILD, "first", "second.asked"),
        child("second", CHILD, "second", "first.asked"),
    ]
    supervisor = Supervisor(log_dir=tmp_path / "logs", out=StringIO())
    for one in children:
        supervisor.start(one)
    supervisor.wait_ready(children, timeout=60)
    supervisor.stop(grace=30)
    assert [one.process.wait(10) for one in children if one.process] == [0, 0, 0]
