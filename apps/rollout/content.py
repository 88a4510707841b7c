"""Contents by hash. Code bundles hold a signing key, so they are encrypted at rest and never shown."""

from __future__ import annotations

from collections.abc import Iterable

from apps.compiler.artifacts import Artifact
from apps.identity import vault
from apps.rollout.models import Blob, TargetArtifact


def keep(artifacts: Iterable[Artifact], *, sealed: bool) -> None:
    """Store what is not stored yet."""
    wanted = {artifact.sha256: artifact for artifact in artifacts}
    known = set(Blob.objects.filter(sha256__in=wanted).values_list("sha256", flat=True))
    fresh = [
        Blob(
            sha256=sha256,
            content=vault.seal(artifact.content) if sealed else artifact.content,
            size=len(artifact.content),
            sealed=sealed,
        )
        for sha256, artifact in wanted.items()
        if sha256 not in known
    ]
    Blob.objects.bulk_create(fresh, ignore_conflicts=True, batch_size=200)


def fetch(hashes: Iterable[str]) -> dict[str, bytes]:
    """Plain content by hash; what is not stored is left out."""
    blobs = Blob.objects.filter(sha256__in={sha256 for sha256 in hashes if sha256})
    return {blob.sha256: vault.unseal(blob.content) if blob.sealed else bytes(blob.content) for blob in blobs}


def load(rows: Iterable[TargetArtifact]) -> tuple[Artifact, ...]:
    """The rows with their content."""
    found = list(rows)
    contents = fetch(row.sha256 for row in found)
    return tuple(Artifact(row.path, row.media_type, contents[row.sha256], row.sha256) for row in found)


def fetch_open(hashes: Iterable[str]) -> dict[str, bytes | None]:
    """As ``fetch``, for people to look at: None for what is confidential."""
    blobs = Blob.objects.filter(sha256__in={sha256 for sha256 in hashes if sha256})
    return {blob.sha256: None if blob.sealed else bytes(blob.content) for blob in blobs}
