"""Several people at the same moment, each on a connection of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from django.db import connections

from apps.audit.errors import Refusal


def together(*work: Callable[[], object]) -> list[object]:
    """Start all at once. A refusal's code is its result; anything else that is raised is raised here."""
    barrier = threading.Barrier(len(work))
    results: list[object] = [None] * len(work)
    faults: list[Exception] = []

    def run(index: int) -> None:
        barrier.wait()
        try:
            results[index] = work[index]()
        except Refusal as refusal:
            results[index] = refusal.code
        except Exception as fault:
            faults.append(fault)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    if faults:
        raise faults[0]
    return results
