"""X.509, without the database: an authority, and certificates that say which workload their holder is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFETIME = timedelta(days=5 * 365)
LEAF_LIFETIME = timedelta(days=30)
BACKDATE = timedelta(minutes=1)
"""Clocks differ: a certificate is valid from a minute ago."""

_LEAF_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
_AUTHORITY_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class UnusableRequest(ValueError):
    """A certificate signing request that cannot be signed; the message says why."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate as it is stored; ``fingerprint`` is the SHA-1 that NGINX shows, ``key_hash`` names its key."""

    pem: str
    serial: str
    fingerprint: str
    key_hash: str
    not_before: datetime
    not_after: datetime


def new_private_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("Only elliptic-curve keys are used here.")
    return key


def new_authority(name: str, key: ec.EllipticCurvePrivateKey, at: datetime) -> str:
    """A self-signed authority certificate that may sign leaves only."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key.public_key(), at, at + AUTHORITY_LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_AUTHORITY_USAGE, critical=True)
    return _pem(builder.sign(key, hashes.SHA256()))


def new_request(key: ec.EllipticCurvePrivateKey) -> str:
    """A signing request that proves possession of the key; the names are the authority's business."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def read_request(csr_pem: str) -> ec.EllipticCurvePublicKey:
    """The public key whose holder signed the request; raises UnusableRequest."""
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
        key = request.public_key()
        if not request.is_signature_valid:
            raise UnusableRequest("The signing request is not signed by its own key.")
    except (ValueError, InvalidSignature) as error:
        raise UnusableRequest("This is not a signing request in PEM, signed by its own key.") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UnusableRequest("The key must be on the curve P-256.")
    return key


def sign_leaf(
    *,
    authority_pem: str,
    authority_key: ec.EllipticCurvePrivateKey,
    public_key: ec.EllipticCurvePublicKey,
    workload: str,
    dns_names: Sequence[str],
    at: datetime,
) -> Leaf:
    """A certificate for the workload, with exactly one URI: whatever the request asked for is not looked at."""
    authority = x509.load_pem_x509_certificate(authority_pem.encode())
    until = min(at + LEAF_LIFETIME, authority.not_valid_after_utc)
    names = [x509.UniformResourceIdentifier(workload), *(x509.DNSName(name) for name in dns_names)]
    builder = _builder(x509.Name([]), authority.subject, public_key, at, until)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_LEAF_USAGE, critical=True)
    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
    builder = builder.add_extension(both, critical=False)
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = builder.add_extension(issuer_key, critical=False)
    return _as_leaf(builder.sign(authority_key, hashes.SHA256()))


def key_hash(key: ec.EllipticCurvePublicKey) -> str:
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, at: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - BACKDATE)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _as_leaf(certificate: x509.Certificate) -> Leaf:
    public_key = certificate.public_key()
    if not isinstance(public_key, ec.EllipticCurvePublicKey):
        raise TypeError("Only elliptic-curve keys are signed here.")
    return Leaf(
        pem=_pem(certificate),
        serial=f"{certificate.serial_number:x}",
        fingerprint=certificate.fingerprint(hashes.SHA1()).hex(),  # noqa: S303 - the name NGINX knows it by, no proof
        key_hash=key_hash(public_key),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
