"""Every operation of the published schema, called with what it allows and with what it does not.

Nothing fails on our side; every answer is one the schema names and looks as it says. The callers are an engineer, one
who may do everything a person can be given, and an agent, each with an API token.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from console.wsgi import application
from tests.api.world import World, world
from tests.factories.identity import api_token

EXAMPLES = int(os.environ.get("SALLYPORT_SCHEMATHESIS_EXAMPLES", "2"))
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)
SCHEMA = schemathesis.openapi.from_wsgi("/api/v1/schema/?format=json", application)
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]
BODIES = {
    "service": "payments",
    "routes": ["refund"],
    "duration": 3600,
    "points": ["edge"],
    "environment": "demo",
    "subject": "agent:release-bot",
    "path": "/refunds",
    "method": "POST",
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Refusals are what is asked for here; a fault of ours is seen by its status.

    A request's end would close the connection of the test's transaction; Django's own test client prevents it too.
    """
    signals = (request_started, request_finished)
    logging.disable(logging.WARNING)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)
    logging.disable(logging.NOTSET)


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["engineer", "operator", "agent"])
def test_every_answer_is_one_the_schema_names(who: str) -> None:
    there = world()
    subject = {"engineer": there.shop.ada, "operator": there.kim, "agent": there.shop.bot}[who]
    headers = {"Authorization": f"Bearer {api_token(subject)[1]}", "Accept-Encoding": "identity"}
    faults = [fault for operation in OPERATIONS if (fault := fault_of(operation, there, headers))]
    assert len(OPERATIONS) > 40
    assert not faults, "\n\n".join(faults)


def fault_of(operation: Any, there: World, headers: dict[str, str]) -> str:
    try:
        call(operation, there, headers)
    except FailureGroup as found:
        return f"{operation.label}: {found}"
    return ""


def call(operation: Any, there: World, headers: dict[str, str]) -> None:
    """A few cases of one operation, each undone again."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(operation), data=st.data())
    def each(case: Any, data: st.DataObject) -> None:
        make_known(case, there, data)
        with transaction.atomic():
            case.call_and_validate(headers=headers, checks=CHECKS)
            transaction.set_rollback(True)

    each()


def cases(operation: Any) -> st.SearchStrategy[Any]:
    allowed = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if not operation.query and not operation.body:
        return allowed
    return allowed | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)


def make_known(case: Any, there: World, data: st.DataObject) -> None:
    """Mostly about things that exist, or nearly every answer would be 404."""
    for name in case.path_parameters or {}:
        if name in there.known and data.draw(st.integers(0, 3)):
            case.path_parameters[name] = data.draw(st.sampled_from(there.known[name]))
    if isinstance(case.body, dict):
        for name in sorted(case.body.keys() & BODIES.keys()):
            if data.draw(st.booleans()):
                case.body[name] = BODIES[name]
