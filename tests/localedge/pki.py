"""A throw-away authority for the origin and the edge."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

EDGE_ID = "spiffe://shop.test/edge"
ORIGIN_ID = "spiffe://shop.test/ns/mesh/sa/ingress"
LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


class Authority:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.ca = directory / "ca.pem"
        self.ca.write_bytes(_pem(self._sign(self._name, self._key.public_key(), (), ca=True)))

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, names: Sequence[x509.GeneralName], *, ca: bool
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def sign_request(self, request: x509.CertificateSigningRequest, names: Sequence[x509.GeneralName]) -> str:
        """The certificate in PEM."""
        key = request.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        return _pem(self._sign(request.subject, key, names, ca=False)).decode()

    def issue(self, label: str, names: Sequence[x509.GeneralName]) -> tuple[Path, Path]:
        """Writes (or replaces) ``<label>.pem`` and ``<label>.key``."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(x509.Name([]), key.public_key(), names, ca=False)
        cert_path, key_path = self._directory / f"{label}.pem", self._directory / f"{label}.key"
        cert_path.write_bytes(_pem(certificate))
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return cert_path, key_path


def uri(name: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(name)


def dns(name: str) -> x509.GeneralName:
    return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
