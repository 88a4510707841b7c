"""A worker to be killed: ``python -m tests.rollout.akamai.killable WORKER ROW SECONDS`` takes step after step.

Its clock is ``SECONDS`` before ours, and goes on by more than a pause between two steps.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import django

django.setup()

from django.utils import timezone  # noqa: E402 - after setup, because it brings the models

from apps.audit.actors import Actor  # noqa: E402 - as above
from apps.rollout.akamai.edgerc import EdgeGridCredential  # noqa: E402 - as above
from apps.rollout.models import DriverName, Target  # noqa: E402 - as above
from apps.rollout.services import reconciling  # noqa: E402 - as above
from apps.rollout.services.akamai import (  # noqa: E402 - as above
    adding,
    edge_tokens,
    listing,
    origin_certificate_steps,
    streaming_steps,
)
from apps.rollout.services.akamai.placing import Place  # noqa: E402 - as above
from apps.rollout.services.targets import TargetSpec  # noqa: E402 - as above
from tests.localedge.standin import CREDENTIAL  # noqa: E402 - as above

Clock = Callable[[], datetime]


def add(clock: Clock) -> Target:
    """A second edge in the account of the first, as an operator adds it."""
    host = str(Target.objects.get(slug="edge").config["base_url"]).partition("://")[2]
    config = {"resource_tier_id": 200}
    return adding.add(
        spec=TargetSpec("second", "Second edge", DriverName.AKAMAI, config, environment="elsewhere"),
        credential=EdgeGridCredential(host=host, **CREDENTIAL),
        account_switch_key="",
        wish=Place(namespace="second"),
        actor=Actor("person:olga", "Olga"),
        at=clock(),
    )


WORKERS: Mapping[str, Callable[[int, Clock], object]] = {
    "list": lambda row, clock: listing.run(list_id=row, clock=clock),
    "stream": lambda row, clock: streaming_steps.run(stream_id=row, clock=clock),
    "certificate": lambda row, clock: origin_certificate_steps.run(row_id=row, clock=clock),
    "edge": lambda _row, clock: reconciling.reconcile(slug="edge", clock=clock),
    "add": lambda _row, clock: add(clock),
    "tokens": lambda _row, clock: edge_tokens.keep_all(at=clock()),
}
STEPS, PAUSE = 40, timedelta(seconds=11)


def main(worker: str, row: int, ahead: float) -> None:
    for step in range(STEPS):
        WORKERS[worker](row, clock_ahead(timedelta(seconds=ahead) + step * PAUSE))


def clock_ahead(of_ours: timedelta) -> Clock:
    return lambda: timezone.now() + of_ours


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
