"""What a target's rule in a property should say now."""

from __future__ import annotations

from collections.abc import Sequence

from apps.rollout.drivers.akamai_rules import Attached
from apps.rollout.models import EdgeStream, OriginCertificate, Target


def attached(target: Target, hostnames: Sequence[str]) -> Attached:
    """With the stream and the client certificate the target has; what was never made is not named."""
    stream = EdgeStream.objects.filter(target=target, stream_id__isnull=False).first()
    certificate = OriginCertificate.objects.filter(target=target).exclude(deployed_guid="").first()
    return Attached(
        target=target.slug,
        edgeworker_id=int(target.facts["edgeworker_id"]),
        hostnames=tuple(hostnames),
        stream_id=stream.stream_id if stream else None,
        client_certificate=certificate.deployed_guid if certificate else "",
    )
