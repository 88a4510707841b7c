"""The identities of the workloads on this node. Keys are made here and never leave.

A key and its certificate change together, by one link, so that NGINX never reads halves of two pairs. The certificate
before stays valid, and its files stay until the next change.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from apps.meshagent.console import Console, ConsoleError
from apps.meshagent.layout import Layout, point, replace_file, slug

RENEW_AFTER = 2 / 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    workload: str
    fingerprint: str
    not_before: datetime
    not_after: datetime

    def is_due(self, at: datetime) -> bool:
        return at >= self.not_before + (self.not_after - self.not_before) * RENEW_AFTER

    def describe(self) -> dict[str, str]:
        return {
            "workload": self.workload,
            "fingerprint": self.fingerprint,
            "not_after": self.not_after.isoformat(),
        }


class Identities:
    def __init__(self, layout: Layout, console: Console, workloads: tuple[str, ...]) -> None:
        self._layout, self._console, self._workloads = layout, console, workloads

    def held(self) -> list[Identity]:
        found = (self._read(workload) for workload in self._workloads)
        return [identity for identity in found if identity is not None]

    def renew(self, at: datetime) -> bool:
        """Enrols or renews whatever is due; whether anything changed. What fails is tried again at the next call."""
        changed = False
        for workload in self._workloads:
            identity = self._read(workload)
            if identity is None or identity.is_due(at):
                changed = self._enrol(workload) or changed
        return changed

    def _read(self, workload: str) -> Identity | None:
        path = self._layout.identity(workload) / "cert.pem"
        if not path.exists():
            return None
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        fingerprint = certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 - the name NGINX knows it by, no proof
        return Identity(workload, fingerprint, certificate.not_valid_before_utc, certificate.not_valid_after_utc)

    def _enrol(self, workload: str) -> bool:
        key = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        try:
            issued = self._console.issue(workload, request.public_bytes(serialization.Encoding.PEM).decode())
            _require_fit(issued.certificate_pem, key)
        except (ConsoleError, ValueError) as error:
            _log.warning("No certificate for %s: %s", workload, error)
            return False
        self._keep(workload, key, issued.certificate_pem)
        replace_file(self._layout.authority, issued.authority_pem.encode())
        _log.info("New certificate for %s", workload)
        return True

    def _keep(self, workload: str, key: ec.EllipticCurvePrivateKey, certificate_pem: str) -> None:
        name = slug(workload)
        kept = self._layout.root / "identities" / ".kept"
        link = self._layout.identity(workload)
        before = link.readlink().name if link.is_symlink() else ""
        fresh = kept / f"{name}.{datetime.now(UTC):%Y%m%d%H%M%S%f}"
        fresh.mkdir()
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        replace_file(fresh / "key.pem", private, mode=0o600)
        replace_file(fresh / "cert.pem", certificate_pem.encode())
        point(link, f".kept/{fresh.name}")
        for folder in kept.glob(f"{name}.*"):
            if folder.name not in (fresh.name, before):
                shutil.rmtree(folder, ignore_errors=True)


def _require_fit(certificate_pem: str, key: ec.EllipticCurvePrivateKey) -> None:
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    if certificate.public_key() != key.public_key():
        raise ValueError("the certificate is for another key")
