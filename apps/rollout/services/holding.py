"""The order in which rows are locked, so that nobody waits in a circle.

First the target, then its activations, then their probes, then the grants these ask about, and last the head of the
record. Whoever starts in the middle leaves out what comes before. No lock here keeps rows from referring to a target or
an activation.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import QuerySet

from apps.rollout.models import Activation, Probe, Target


def hold_target(target_id: int) -> Target:
    """Locks the target's row until the transaction ends. It comes before any lock of its activations."""
    return Target.objects.select_for_update(no_key=True).get(pk=target_id)


def hold_activations(ids: Collection[int]) -> dict[int, Activation]:
    """Locks them until the transaction ends, in one order, so that two who want the same do not wait for each other."""
    found = Activation.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=ids).order_by("pk")
    return {one.pk: one for one in found.select_related("target", "revision")}


def hold_probes(which: QuerySet[Probe], *, also: Collection[int] = ()) -> list[Probe]:
    """The probes, with their activations and those named in ``also``, in order.

    One that a newer activation takes along at this moment is left out: it stays due.
    """
    activations = hold_activations({*which.values_list("activation", flat=True), *also})
    found = list(which.filter(activation__in=activations).select_for_update(of=("self",)).order_by("pk"))
    for probe in found:
        probe.activation = activations[probe.activation_id]
    return found
