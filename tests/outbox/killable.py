"""A drain to be killed: ``python -m tests.outbox.killable FILE`` handles messages until nobody lets it.

``test.recorded`` leaves its effect in the database (an audit event), ``test.appended`` outside of it (a line in FILE).
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime
from pathlib import Path

import django

django.setup()

from django.utils import timezone  # noqa: E402 - after setup, because it brings the models

from apps.audit import services as audit  # noqa: E402 - as above
from apps.audit.actors import SYSTEM  # noqa: E402 - as above
from apps.outbox import registry, services  # noqa: E402 - as above

WORK_SECONDS = 0.03


@registry.handles("test.recorded", lease_seconds=3)
def record(*, key: str, payload: dict[str, object], at: datetime) -> None:
    audit.record(
        action="test.recorded",
        actor=SYSTEM,
        target_type="test",
        target_id=str(payload["number"]),
        target_name=key,
        at=at,
    )
    time.sleep(WORK_SECONDS)


@registry.handles("test.appended", atomic=False, lease_seconds=3)
def append(*, key: str, payload: dict[str, object], at: datetime) -> None:
    with Path(sys.argv[1]).open("a") as file:
        file.write(f"{payload['number']}\n")
    time.sleep(WORK_SECONDS)


def main() -> None:
    Path(f"{sys.argv[1]}.{os.getpid()}").touch()
    while True:
        if not services.drain(at=timezone.now(), limit=1).handled:
            time.sleep(0.02)


if __name__ == "__main__":
    main()
