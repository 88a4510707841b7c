"""A worker that is killed with SIGKILL between two words to the database.

The worker is a process of its own, a fork of this one, with a connection of its own: what it did not commit is gone, as
it is when a machine loses its power. Moments are counted: every statement is one, so is the time before a commit and
the time after it. Tests that use it need ``transaction=True``, or a worker would see nothing of what they made.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

MOST = 5_000
Work = Callable[[int], object]
"""Told how many workers died before it, so that it can let their leases run out."""

_of_the_parent: list[object] = []


def dies(work: Callable[[], object], *, at_moment: int) -> bool:
    """Have ``work`` done by a worker that is killed at this moment, counted from 1; False when it was done before."""
    child = os.fork()
    if not child:
        _be_a_worker(work, at_moment)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, f"it died of signal {os.WTERMSIG(status)}"
        return True
    assert os.WEXITSTATUS(status) == 0, "it raised; what, is printed above"
    return False


def killed_all_along(work: Work, check: Callable[[], object], *, every: int = 1, first: int = 1) -> int:
    """Kill one worker after the other, each a little later than the one before, until one comes to its end.

    ``check`` looks at what each left behind. Returns how many died. ``every`` leaves moments out.
    """
    for died, moment in enumerate(range(first, MOST, every)):
        if not dies(partial(work, died), at_moment=moment):
            return died
        check()
    raise AssertionError(f"it did not come to its end within {MOST} moments")


def _be_a_worker(work: Callable[[], object], at_moment: int) -> None:
    """Never returns."""
    code = 1
    try:
        _count_moments(_own_connection(), at_moment)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _own_connection() -> BaseDatabaseWrapper:
    """The one inherited belongs to the parent: closing it here would close it there."""
    inherited = connections["default"]
    _of_the_parent.append(inherited)
    connections["default"] = inherited.copy()  # type: ignore[no-untyped-call]
    return connections["default"]


def _count_moments(connection: BaseDatabaseWrapper, at_moment: int) -> None:
    left = at_moment

    def moment() -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    def before_a_statement(execute: Callable[..., Any], *rest: Any) -> Any:
        moment()
        return execute(*rest)

    commit = connection._commit  # type: ignore[attr-defined]

    def around_a_commit() -> None:
        moment()
        commit()
        moment()

    connection.execute_wrappers.append(before_a_statement)
    connection._commit = around_a_commit  # type: ignore[attr-defined]
