"""What of a target goes into an export beside its code and items, as it should be now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from apps.access import selectors as access
from apps.compiler.address_lists import AddressGraph
from apps.rollout.drivers.akamai.lists import Owner, Place
from apps.rollout.drivers.akamai.property import Property
from apps.rollout.exports.beside import BesideCode, HostList, KeptCertificate, KeptStream
from apps.rollout.models import AddressList, EdgeStream, OriginCertificate, PropertyChange, Target
from apps.rollout.services.akamai import listing, origin_certificate_steps, streaming_steps
from apps.rollout.services.akamai.attached import Beside

Compared = Mapping[str, Mapping[str, Any]]


def beside_code(target: Target, more: Beside, at: datetime) -> BesideCode:
    """What was never made, or should deliver no longer, is not in it. Nobody at the vendor is asked."""
    stream = more.stream if more.stream and more.stream.wanted and more.stream.found.get("properties") else None
    compared = _compared(target) if stream or more.certificate else {}
    return BesideCode(
        lists=() if target.is_exported else _lists(target, at),
        stream=_stream(target, stream, compared) if stream else None,
        certificate=_certificate(target, more.certificate, compared) if more.certificate else None,
    )


def _lists(target: Target, at: datetime) -> tuple[HostList, ...]:
    """Of the hosts that are guarded, those there is a list for."""
    rows = list(listing.of_target(target).exclude(list_id=""))
    if not rows:
        return ()
    graph = access.address_graph(environment_slug=target.environment.slug, at=at)
    return tuple(_list(target, row, graph, at) for row in rows if row.host in graph.hosts)


def _list(target: Target, row: AddressList, graph: AddressGraph, at: datetime) -> HostList:
    wanted = listing.wanted_in(graph, row.host, at)
    return HostList(
        product=row.product,
        list_id=row.list_id,
        owner=Owner(target.slug, row.host),
        place=Place(int(target.config["group_id"]), str(target.config.get("contract_id", ""))),
        items=wanted.items,
        live=row.settled == wanted.digest,
    )


def _stream(target: Target, row: EdgeStream, compared: Compared) -> KeptStream:
    found = replace(_property(target, row.hostname, compared), id=f"prp_{row.found['properties'][0]}")
    return KeptStream(int(row.stream_id or 0), streaming_steps.wish_of(row, found, password=""))


def _certificate(target: Target, row: OriginCertificate, compared: Compared) -> KeptCertificate:
    wish = origin_certificate_steps.wish_of(row, _property(target, row.hostname, compared))
    return KeptCertificate(int(row.certificate_id or 0), wish, tuple(sorted(one["number"] for one in row.versions)))


def _compared(target: Target) -> Compared:
    """Each property by its hostname, as it was last read to compare it."""
    changes = PropertyChange.objects.filter(target=target).exclude(found={}).order_by("hostname", "-pk")
    return dict(changes.distinct("hostname").values_list("hostname", "found"))


def _property(target: Target, hostname: str, compared: Compared) -> Property:
    """Where it was never compared, what the target says of group and contract."""
    found = compared.get(hostname, {})
    return Property(
        id=str(found.get("id", "")),
        name=str(found.get("name", "")),
        contract_id=str(found.get("contract_id") or target.config.get("contract_id", "")),
        group_id=str(found.get("group_id") or target.config["group_id"]),
        latest=0,
        staging=None,
        production=None,
    )
