"""What stands beside some services in a cluster, and has something in common with them that no slice of theirs shows.

An environment has an account and an address once. Two environments that are brought to one API server may have them
both; and within one, a pod is known by its label, which is another service's name where an account is called after it.
The cost is that of the services looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from apps.catalog import selectors as catalog
from apps.catalog.shapes import list_sharing
from apps.compiler.emitters.cluster.objects import caller_account
from apps.compiler.graph import AccessGraph, Service
from apps.compiler.surroundings import ClusterSurroundings
from apps.rollout.cluster.settings import NETWORK
from apps.rollout.models import Delivery, DriverName, Target


def beside(target: Target, slices: Mapping[str, AccessGraph], surroundings: ClusterSurroundings) -> dict[str, Service]:
    """By id; those of another environment under an id that says so. No service of ``slices`` is among them."""
    found = dict(_of_other_environments(target, slices))
    if NETWORK in surroundings.emitters:
        named = _account_names(slices.values(), surroundings) - slices.keys()
        found |= catalog.graph_services(named, target.environment.slug) if named else {}
    return found


def _of_other_environments(target: Target, slugs: Iterable[str]) -> Iterator[tuple[str, Service]]:
    server = target.config.get("server")
    there = Target.objects.filter(driver=DriverName.KUBERNETES, config__server=server)
    others = there.exclude(pk=target.pk).exclude(delivery=Delivery.REMOVED)
    names = dict(others.values_list("environment__slug", "environment__name")) if server else {}
    names.pop(target.environment.slug, None)
    if not names:
        return
    sharing = list_sharing(slugs, environment=target.environment.slug, among=names)
    for environment, found in sorted(sharing.items()):
        for slug, shape in catalog.graph_services(found, environment).items():
            told = f"{shape.name} in {names[environment]}"
            yield f"{slug} in {environment}", replace(shape, id=f"{slug} in {environment}", name=told)


def _account_names(slices: Iterable[AccessGraph], surroundings: ClusterSurroundings) -> set[str]:
    """Of the workloads that hold something there."""
    found = (caller_account(grant.subject, surroundings) for graph in slices for grant in graph.grants)
    return {account.name for account in found if account is not None}
