"""Taking over what somebody changed by hand, where that is safe: it counts as right from then on."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.errors import NotAllowed, NotFound, Refusal
from apps.rollout.drivers.akamai.watch import MORE_HOSTS
from apps.rollout.drivers.base import CODE_GROUP
from apps.rollout.models import Drift, DriverName, Release, Target
from apps.rollout.services import undoing
from apps.rollout.services.akamai import attaching, property_watching
from apps.rollout.services.drifting import BY_ITSELF, hold_drift
from apps.rollout.services.evidence import record_target
from apps.rollout.states import ReleaseState


class NotSafeToAdopt(Refusal):
    """The message says why."""

    code = "not_safe_to_adopt"
    default_message = "This would leave a door open, so it is not taken over."


class PersonAdopts(NotAllowed):
    code = "person_adopts"
    default_message = "Only a person can take over what somebody changed by hand."


def adopt(*, drift_id: int, actor: Actor, at: datetime) -> Target:
    """Never what fails open, and never access that nobody approved. The caller pokes the target.

    An object of a cluster is left as it is until what it should say changes, and is written again then.

    Raises NotSafeToAdopt; of code also what going back to it raises.
    """
    if not actor.id.startswith("person:"):
        raise PersonAdopts
    drift = Drift.objects.select_related("target").filter(pk=drift_id, resolved_at=None).first()
    if drift is None:
        raise NotFound
    if drift.is_node:
        raise NotSafeToAdopt(BY_ITSELF)
    if drift.opens or drift.why_not:
        raise NotSafeToAdopt(drift.why_not or NotSafeToAdopt.default_message)
    if drift.path == CODE_GROUP:
        undoing.roll_back_code(slug=drift.target.slug, number=_number_of(drift), actor=actor, at=at)
    with transaction.atomic():
        _, held = hold_drift(drift.pk)
        if held.observed != drift.observed:
            raise NotFound
        _take_over(held, actor, at)
        held.resolved_at, held.resolution = at, f"Adopted by {actor.name}."[:100]
        held.save(update_fields=["resolved_at", "resolution", "adopted"])
        after = {"path": held.path, "found": held.observed, "instead_of": held.expected}
        record_target("drift.adopted", held.target, actor=actor, at=at, after=after)
    return drift.target


def _number_of(drift: Drift) -> int:
    rows = Release.objects.filter(target=drift.target, version=drift.observed, state=ReleaseState.GOOD)
    last = rows.order_by("-pk").first()
    if last is None:
        raise NotSafeToAdopt
    return last.number


def _take_over(drift: Drift, actor: Actor, at: datetime) -> None:
    if drift.path == CODE_GROUP:
        return
    if drift.target.driver == DriverName.KUBERNETES:
        drift.adopted = True
        return
    change = property_watching.change_of(drift.target, drift)
    if change is None:
        raise NotFound
    if drift.path.endswith(f"/{MORE_HOSTS}"):
        known = {host.strip() for host in drift.expected.split(",")}
        hosts = [host for host in (part.strip() for part in drift.observed.split(",")) if host not in known]
        attaching.take_over(change, hosts, actor, at)
        return
    drift.adopted = True
