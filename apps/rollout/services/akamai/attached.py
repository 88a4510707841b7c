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

    stream: EdgeStream | None
    certificate: OriginCertificate | None

    @property
    def stream_id(self) -> int | None:
        return self.stream.stream_id if self.stream else None

    @property
    def client_certificate(self) -> str:
        return self.certificate.deployed_guid if self.certificate else ""

    def serves(self, property_id: str) -> bool:
        properties = self.stream.found.get("properties", ()) if self.stream else ()
        return property_id.removeprefix("prp_") in map(str, properties)


def beside(stream: EdgeStream | None, certificate: OriginCertificate | None) -> Beside:
    """What was never made is not named."""
    return Beside(
        stream=stream if stream and stream.stream_id is not None else None,
        certificate=certificate if certificate and certificate.deployed_guid else None,
    )


def attached(target: Target, hostnames: Sequence[str], property_id: str = "") -> Attached:
    """With the client certificate the target has, the origins that versions of services have, and the stream if it is
    that of this property: a stream serves one.
    """
    more = beside(
        EdgeStream.objects.filter(target=target).first(), OriginCertificate.objects.filter(target=target).first()
    )
    services = catalog.graph_services(None, target.environment.slug).values() if hostnames else ()
    here = [one for one in services if one.edge is not None and one.edge.host.lower() in hostnames]
    return Attached(
        target=target.slug,
        edgeworker_id=int(target.facts["edgeworker_id"]),
        hostnames=tuple(hostnames),
        stream_id=more.stream_id if more.serves(property_id) else None,
        client_certificate=more.client_certificate,
        origins=tuple(sorted({variant.origin for one in here for variant in one.variants if variant.origin})),
    )
