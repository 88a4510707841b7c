"""The state machines of an activation and of a probe, and the one function that moves either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

from django.db import models

from apps.audit.errors import Refusal

UNKNOWN = "drifted"
"""Stands where the hash of what the target holds would stand, when that is not ours or nobody can say."""


class ActivationState(models.TextChoices):
    PENDING = "pending", "Waiting"
    APPLYING = "applying", "Being applied"
    ACTIVE = "active", "Applied"
    PROVEN = "proven", "Applied and proven"
    FAILED = "failed", "Failed"
    SUPERSEDED = "superseded", "Overtaken by a newer one"


class ProbeState(models.TextChoices):
    WAITING = "waiting", "Waits until the configuration is applied"
    READY = "ready", "About to be tried"
    FAILING = "failing", "Tried, not as expected"
    PASSED = "passed", "As expected"
    DROPPED = "dropped", "No longer asked"


class ReleaseState(models.TextChoices):
    STAGING = "staging", "On its way to staging"
    TRIED = "tried", "On its way to production"
    WATCHED = "watched", "On production, watched"
    GOOD = "good", "Good"
    REFUSED = "refused", "Refused on staging"
    TAKEN_BACK = "taken_back", "Taken back"
    STUCK = "stuck", "Not good; waits for a person"
    OVERTAKEN = "overtaken", "Overtaken by other code"


class PropertyState(models.TextChoices):
    ASKED = "asked", "Being compared"
    PLANNED = "planned", "Waits for a yes"
    WRITING = "writing", "Being written"
    WARNED = "warned", "Warnings wait for a person"
    STAGING = "staging", "Going live on staging"
    PRODUCTION = "production", "Going live on production"
    DONE = "done", "As it should be"
    FAILED = "failed", "Failed"
    DROPPED = "dropped", "Not wanted any more"


WORKING_PROPERTIES = (PropertyState.ASKED, PropertyState.WRITING, PropertyState.STAGING, PropertyState.PRODUCTION)
OPEN_PROPERTIES = (*WORKING_PROPERTIES, PropertyState.PLANNED, PropertyState.WARNED)
OPEN_RELEASES = (ReleaseState.STAGING, ReleaseState.TRIED, ReleaseState.WATCHED)
HELD_RELEASES = (ReleaseState.REFUSED, ReleaseState.TAKEN_BACK, ReleaseState.STUCK)
OPEN_ACTIVATIONS = (ActivationState.PENDING, ActivationState.APPLYING)
OPEN_PROBES = (ProbeState.WAITING, ProbeState.READY, ProbeState.FAILING)
DUE_PROBES = (ProbeState.READY, ProbeState.FAILING)

EDGES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "activation": {
        ActivationState.PENDING: (
            ActivationState.APPLYING,
            ActivationState.SUPERSEDED,
            ActivationState.FAILED,
        ),
        ActivationState.APPLYING: (
            ActivationState.ACTIVE,
            ActivationState.SUPERSEDED,
            ActivationState.FAILED,
        ),
        ActivationState.ACTIVE: (ActivationState.PROVEN,),
    },
    "property": {
        PropertyState.ASKED: (
            PropertyState.PLANNED,
            PropertyState.DONE,
            PropertyState.FAILED,
            PropertyState.DROPPED,
        ),
        PropertyState.PLANNED: (PropertyState.WRITING, PropertyState.DROPPED),
        PropertyState.WRITING: (
            PropertyState.PLANNED,
            PropertyState.WARNED,
            PropertyState.STAGING,
            PropertyState.DONE,
            PropertyState.FAILED,
            PropertyState.DROPPED,
        ),
        PropertyState.WARNED: (PropertyState.STAGING, PropertyState.DROPPED),
        PropertyState.STAGING: (
            PropertyState.PLANNED,
            PropertyState.PRODUCTION,
            PropertyState.DONE,
            PropertyState.WARNED,
            PropertyState.FAILED,
        ),
        PropertyState.PRODUCTION: (
            PropertyState.PLANNED,
            PropertyState.DONE,
            PropertyState.WARNED,
            PropertyState.FAILED,
        ),
    },
    "release": {
        ReleaseState.STAGING: (
            ReleaseState.TRIED,
            ReleaseState.REFUSED,
            ReleaseState.WATCHED,
            ReleaseState.OVERTAKEN,
        ),
        ReleaseState.TRIED: (ReleaseState.WATCHED, ReleaseState.OVERTAKEN),
        ReleaseState.WATCHED: (
            ReleaseState.GOOD,
            ReleaseState.TAKEN_BACK,
            ReleaseState.STUCK,
            ReleaseState.OVERTAKEN,
        ),
    },
    "probe": {
        ProbeState.WAITING: (ProbeState.READY, ProbeState.DROPPED),
        ProbeState.READY: (ProbeState.PASSED, ProbeState.FAILING, ProbeState.DROPPED),
        ProbeState.FAILING: (ProbeState.PASSED, ProbeState.FAILING, ProbeState.DROPPED),
    },
}


class Stateful(Protocol):
    """A row with a state, and the name of the machine that governs it."""

    machine: ClassVar[str]
    state: str


class MoveRefused(Refusal):
    """The machine has no edge from here to there: another process was first."""

    code = "move_refused"
    default_message = "It has moved on meanwhile; this change is not possible any more."


def move(row: Stateful, to: str) -> None:
    """The only assignment of a state in this app. The caller holds the target's lock, or the row's, and saves."""
    if to not in EDGES[row.machine].get(row.state, ()):
        raise MoveRefused(f"This {row.machine} is {row.state}; it cannot become {to}.")
    row.state = to
