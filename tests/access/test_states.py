"""The machines: what may become what, and that nothing moves around them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import pytest

from apps.access.states import (
    EDGES,
    CleanUpState,
    DoorState,
    GrantState,
    MoveRefused,
    RequestState,
    StandingState,
    can_move,
    move,
)

STATES = {"request": RequestState, "grant": GrantState, "door": DoorState}
STATES |= {"clean-up": CleanUpState, "standing review": StandingState}


@dataclass
class Row:
    machine: ClassVar[str] = ""
    state: str


def row(name: str, state: str) -> Row:
    return type("Row", (Row,), {"machine": name})(state)


@pytest.mark.parametrize("name", STATES)
def test_only_edges_can_be_walked(name: str) -> None:
    for start, to in product(STATES[name], STATES[name]):
        moving = row(name, start)
        if to in EDGES[name].get(start, ()):
            assert can_move(moving, to)
            move(moving, to)
            assert moving.state == to
        else:
            with pytest.raises(MoveRefused):
                move(moving, to)
            assert moving.state == start


def test_a_request_is_decided_once() -> None:
    assert {start for start, to in EDGES["request"].items() if to} == {"pending"}


def test_a_clean_up_and_a_question_are_decided_once() -> None:
    assert set(EDGES["clean-up"]) == {"pending"}
    assert set(EDGES["standing review"]) == {"open"}


def test_an_ended_grant_and_a_closed_door_do_not_open_again() -> None:
    assert set(EDGES["grant"]) == {"pending", "active"}
    assert EDGES["door"]["closed"] == ("opening",)
    assert "open" not in EDGES["door"]["closing"]
