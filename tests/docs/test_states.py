"""The page on states lists every state of every machine as pages show it, and what it may become."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.db.models import TextChoices

from apps.access import states as access
from apps.firewall.standing import LABELS
from apps.outbox.models import State as MessageState
from apps.rollout import states as rollout
from apps.trust import models as trust
from tests.arch.source import ROOT

MACHINES: Mapping[str, tuple[type[TextChoices], Mapping[str, tuple[str, ...]]]] = {
    "A request": (access.RequestState, access.EDGES["request"]),
    "A grant": (access.GrantState, access.EDGES["grant"]),
    "A door of a grant": (access.DoorState, access.EDGES["door"]),
    "A question about standing access": (access.StandingState, access.EDGES["standing review"]),
    "A clean-up of grants": (access.CleanUpState, access.EDGES["clean-up"]),
    "An activation": (rollout.ActivationState, rollout.EDGES["activation"]),
    "A probe": (rollout.ProbeState, rollout.EDGES["probe"]),
    "A release of edge code": (rollout.ReleaseState, rollout.EDGES["release"]),
    "A change of a property": (rollout.PropertyState, rollout.EDGES["property"]),
    "A signing key": (trust.KeyState, trust.EDGES),
}


def sections() -> dict[str, str]:
    _, *parts = re.split(r"^## ", (ROOT / "docs/reference/states.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {part.partition("\n")[0]: part for part in parts}


def rows(text: str) -> list[str]:
    return re.findall(r"^\| `.+$", text, re.MULTILINE)


def test_every_machine_is_listed_state_by_state() -> None:
    assert len(MACHINES) == len(access.EDGES) + len(rollout.EDGES) + 1
    expected = {
        title: [
            f"| `{state.value}` | {state.label} | {', '.join(f'`{to}`' for to in edges.get(state, ())) or 'nothing'} |"
            for state in states
        ]
        for title, (states, edges) in MACHINES.items()
    }
    found = sections()
    assert {title: rows(found.get(title, "")) for title in MACHINES} == expected


def test_states_that_are_derived_or_only_counted_are_listed_as_well() -> None:
    assert rows(sections()["A line of a firewall request"]) == [f"| `{one}` | {said} |" for one, said in LABELS.items()]
    assert rows(sections()["A message of the outbox"]) == [f"| `{one.value}` | {one.label} |" for one in MessageState]
