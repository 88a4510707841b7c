"""What a target's rule in a property should say now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.catalog import selectors as catalog
from apps.rollout.drivers.akamai.rules import Attached
from apps.rollout.models import EdgeStream, OriginCertificate, Target


@dataclass(frozen=True, slots=True)
class Beside:
    """What the rule names beside the code: a stream of log lines, the certificate shown to the origin."""

    stream_id: int | None
    client_certificate: str


def beside(target: Target) -> Beside:
    """What was never made is not named."""
    stream = EdgeStream.objects.filter(target=target, stream_id__isnull=False).first()
    certificate = OriginCertificate.objects.filter(target=target).exclude(deployed_guid="").first()
    return Beside(stream.stream_id if stream else None, certificate.deployed_guid if certificate else "")


def attached(target: Target, hostnames: Sequence[str]) -> Attached:
    """With the stream and the client certificate the target has, and the origins that versions of services have."""
    more = beside(target)
    services = catalog.graph_services(None, target.environment.slug).values() if hostnames else ()
    here = [one for one in services if one.edge is not None and one.edge.host.lower() in hostnames]
    return Attached(
        target=target.slug,
        edgeworker_id=int(target.facts["edgeworker_id"]),
        hostnames=tuple(hostnames),
        stream_id=more.stream_id,
        client_certificate=more.client_certificate,
        origins=tuple(sorted({variant.origin for one in here for variant in one.variants if variant.origin})),
    )
