"""mTLS Origin Keystore: the client certificate the edge shows to our ingress, signed by our own authority.

The private key is made at Akamai and stays there: each version comes with a signing request, waits for the certificate,
and is deployed some minutes later. No published description exists; the calls are those Akamai's own clients make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509

from apps.rollout.drivers.akamai.api import AkamaiApi

KEYSTORE = "/mtls-origin-keystore/v1"
CERTIFICATES = f"{KEYSTORE}/client-certificates"
AWAITING, DEPLOYING, DEPLOYED = "AWAITING_SIGNED_CERTIFICATE", "DEPLOYMENT_PENDING", "DEPLOYED"
GOING = "DELETE_PENDING"


@dataclass(frozen=True, slots=True)
class CertificateWish:
    name: str
    contract_id: str
    group_id: int
    emails: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CertificateVersion:
    """``guid`` is what a property names it by; ``expires_at`` is None until it is signed."""

    number: int
    guid: str
    status: str
    csr: str = ""
    expires_at: datetime | None = None


class KeystoreDriver:
    def __init__(self, api: AkamaiApi) -> None:
        self._api = api

    def find(self, name: str) -> int | None:
        """The id of the certificate of that name, which is unique in the account."""
        rows = self._api.get_json(CERTIFICATES)["certificates"]
        return next((int(row["certificateId"]) for row in rows if row["certificateName"] == name), None)

    def create(self, wish: CertificateWish) -> int:
        return int(self._api.post_json(CERTIFICATES, certificate_body(wish))["certificateId"])

    def versions(self, certificate_id: int) -> tuple[CertificateVersion, ...] | None:
        """Newest first, each once: what an alias stands for is listed again under it. None without the certificate."""
        found = self._api.find_json(f"{CERTIFICATES}/{certificate_id}/versions")
        if found is None:
            return None
        known = {int(row["version"]): _version(row) for row in found["versions"]}
        return tuple(known[number] for number in sorted(known, reverse=True))

    def rotate(self, certificate_id: int) -> CertificateVersion:
        """A new version with a new key; it waits for its certificate."""
        return _version(self._api.call("POST", f"{CERTIFICATES}/{certificate_id}/versions").json())

    def upload(self, certificate_id: int, version: int, *, certificate: str, chain: str) -> None:
        """The signed certificate; Akamai then deploys it. Warnings are about the CA being unknown to it: it is ours."""
        path = f"{CERTIFICATES}/{certificate_id}/versions/{version}/certificate-block"
        body = {"certificate": certificate, "trustChain": chain}
        self._api.call("POST", path, params={"acknowledgeAllWarnings": "true"}, json=body)

    def delete(self, certificate_id: int, version: int) -> None:
        """Akamai refuses while a property uses it, and may take a day."""
        self._api.delete(f"{CERTIFICATES}/{certificate_id}/versions/{version}")


def certificate_body(wish: CertificateWish) -> dict[str, Any]:
    """A certificate as it is made."""
    return {
        "certificateName": wish.name,
        "contractId": wish.contract_id,
        "groupId": wish.group_id,
        "geography": "CORE",
        "secureNetwork": "STANDARD_TLS",
        "signer": "THIRD_PARTY",
        "keyAlgorithm": "ECDSA",
        "notificationEmails": list(wish.emails),
    }


def _version(row: Mapping[str, Any]) -> CertificateVersion:
    expires, request = row.get("expiryDate"), row.get("csrBlock") or {}
    signed = str((row.get("certificateBlock") or {}).get("certificate") or "")
    return CertificateVersion(
        number=int(row["version"]),
        guid=str(row["versionGuid"]),
        status=str(row["status"]),
        csr=str(request.get("csr") or ""),
        expires_at=datetime.fromisoformat(str(expires)) if expires else _end_of(signed),
    )


def _end_of(pem: str) -> datetime | None:
    try:
        return x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc
    except ValueError:
        return None
