"""What of a target goes into an export beside its code and items, as it should be now."""

from __future__ import annotations

from datetime import datetime

from apps.rollout.drivers.akamai.lists import Owner, Place
from apps.rollout.drivers.akamai.property import Property
from apps.rollout.exports.beside import BesideCode, HostList, KeptCertificate, KeptStream
from apps.rollout.models import EdgeStream, OriginCertificate, PropertyChange, Target
from apps.rollout.services.akamai import listing, origin_certificate_steps, streaming_steps
from apps.rollout.services.akamai.attached import Beside


def beside_code(target: Target, more: Beside, at: datetime) -> BesideCode:
    """What was never made, or should deliver no longer, is not in it. Nobody at the vendor is asked."""
    stream, certificate = more.stream, more.certificate
    return BesideCode(
        lists=() if target.is_exported else _lists(target, at),
        stream=_stream(target, stream) if stream and stream.wanted and stream.found.get("properties") else None,
        certificate=_certificate(target, certificate) if certificate else None,
    )


def _lists(target: Target, at: datetime) -> tuple[HostList, ...]:
    place = Place(int(target.config["group_id"]), str(target.config.get("contract_id", "")))
    return tuple(
        HostList(
            product=row.product,
            list_id=row.list_id,
            owner=Owner(target.slug, row.host),
            place=place,
            items=wanted.items,
            live=row.settled == wanted.digest,
        )
        for row, wanted in listing.wanted_at(target, at)
    )


def _stream(target: Target, row: EdgeStream) -> KeptStream:
    number = row.found["properties"][0]
    wish = streaming_steps.wish_of(row, _property(target, row.hostname, f"prp_{number}"), password="")
    return KeptStream(int(row.stream_id or 0), wish)


def _certificate(target: Target, row: OriginCertificate) -> KeptCertificate:
    wish = origin_certificate_steps.wish_of(row, _property(target, row.hostname))
    return KeptCertificate(int(row.certificate_id or 0), wish, tuple(sorted(one["number"] for one in row.versions)))


def _property(target: Target, hostname: str, id_: str = "") -> Property:
    """As it was last read to compare it. Where it never was, what the target says of group and contract."""
    changes = PropertyChange.objects.filter(target=target, hostname=hostname).exclude(found={}).order_by("-pk")
    found = changes.values_list("found", flat=True).first() or {}
    return Property(
        id=id_ or str(found.get("id", "")),
        name=str(found.get("name", "")),
        contract_id=str(found.get("contract_id") or target.config.get("contract_id", "")),
        group_id=str(found.get("group_id") or target.config["group_id"]),
        latest=0,
        staging=None,
        production=None,
    )
