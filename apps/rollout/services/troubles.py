"""What an error of a target's vendor means: each kind of target has a catalogue of its own."""

from __future__ import annotations

from collections.abc import Mapping

from apps.rollout.drivers.akamai import errors as akamai_errors
from apps.rollout.drivers.akamai.errors import UNNAMED, Trouble
from apps.rollout.drivers.base import VendorError
from apps.rollout.drivers.kubernetes import errors as kubernetes_errors
from apps.rollout.models import DriverName, Target


def catalogue_of(target: Target) -> Mapping[str, Trouble]:
    return kubernetes_errors.CATALOGUE if target.driver == DriverName.KUBERNETES else akamai_errors.CATALOGUE


def explain(target: Target, error: VendorError) -> Trouble:
    """The entry for an error. There is always one."""
    if target.driver == DriverName.KUBERNETES:
        return kubernetes_errors.explain(error)
    return akamai_errors.explain(error)


def named(target: Target, code: str) -> Trouble:
    """The entry of that code, or the one for what has no name."""
    return catalogue_of(target).get(code, UNNAMED)
