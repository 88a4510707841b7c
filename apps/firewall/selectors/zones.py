"""Reading the zones and their matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apps.compiler.address_lists import blocks_of
from apps.compiler.graph import SubjectKind
from apps.firewall.models import Zone, ZoneRule
from apps.firewall.zoning import Matrix, Place, ZoneView

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apps.catalog.selectors import Placed
    from apps.compiler.addresses import Block


def get_matrix() -> Matrix:
    """Two queries."""
    zones = tuple(view_of(zone) for zone in Zone.objects.order_by("name", "slug"))
    if not zones:
        return Matrix()
    cells = ZoneRule.objects.values_list("source__slug", "destination__slug", "verdict", "why")
    return Matrix(zones, {(source, destination): (verdict, why) for source, destination, verdict, why in cells})


def find_zone(slug: str) -> Zone | None:
    return Zone.objects.filter(slug=slug).first()


def view_of(zone: Zone) -> ZoneView:
    return ZoneView(
        slug=zone.slug,
        name=zone.name,
        services=frozenset(zone.services),
        namespaces=frozenset(zone.namespaces),
        networks=blocks_of(zone.networks),
        sensitivities=frozenset(zone.sensitivities),
        kinds=frozenset(zone.kinds),
    )


def place_of_service(one: Placed) -> Place:
    return Place(service=one.slug, namespace=one.namespace, sensitivity=one.sensitivity)


def place_of_caller(key: str, kind: str, blocks: Iterable[Block], placed: Iterable[Placed]) -> Place:
    """A workload is where its service is."""
    if kind == SubjectKind.WORKLOAD:
        one = next((one for one in placed if one.workload == key), None)
        if one is not None:
            return Place(service=one.slug, namespace=one.namespace, sensitivity=one.sensitivity, kind=kind)
        return Place(namespace=_namespace(key), kind=kind)
    return Place(kind=kind, blocks=tuple(blocks))


def _namespace(key: str) -> str:
    """Of ``workload:spiffe://shop.test/ns/shop/sa/cart`` it is ``shop``; empty where the id names none."""
    parts = key.split("/")
    return parts[parts.index("ns") + 1] if "ns" in parts[:-1] else ""
