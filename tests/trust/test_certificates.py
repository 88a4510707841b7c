from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from django.core.management import CommandError, call_command

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.compiler.emitters.nginx import server_name
from apps.identity import services as identity
from apps.outbox.models import Message
from apps.trust import pki, selectors, services
from apps.trust.models import Authority, Certificate
from tests.factories.identity import workload

pytestmark = pytest.mark.django_db

CART = "spiffe://shop.test/ns/shop/sa/cart"


@pytest.fixture
def cart() -> None:
    workload("cart")


def issue(at: datetime, csr_pem: str = "", of: str = CART) -> services.IssuedCertificate:
    csr = csr_pem or pki.new_request(pki.new_private_key())
    return services.issue_certificate(workload=of, csr_pem=csr, node="node-1", at=at)


def test_it_names_the_workload_and_nobody_else(cart: None, at: datetime) -> None:
    issued = x509.load_pem_x509_certificate(issue(at).certificate_pem.encode())
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [CART]
    assert names.get_values_for_type(x509.DNSName) == [server_name(CART)]
    usage = issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    assert issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_it_lasts_thirty_days_and_is_signed_by_the_authority(cart: None, at: datetime) -> None:
    made = issue(at)
    issued = x509.load_pem_x509_certificate(made.certificate_pem.encode())
    authority = x509.load_pem_x509_certificate(made.ca_pem.encode())
    issued.verify_directly_issued_by(authority)
    assert issued.not_valid_after_utc == at + timedelta(days=30)
    assert issued.not_valid_before_utc == at - timedelta(minutes=1)


def test_names_in_the_request_are_not_believed(cart: None, at: datetime) -> None:
    key = pki.new_private_key()
    wished = x509.SubjectAlternativeName([x509.DNSName("console.shop.test")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(wished, critical=False)
    csr = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    issued = x509.load_pem_x509_certificate(issue(at, csr).certificate_pem.encode())
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [server_name(CART)]


def test_a_request_not_signed_by_its_key_is_refused(cart: None, at: datetime) -> None:
    pem = pki.new_request(pki.new_private_key())
    raw = bytearray(x509.load_pem_x509_csr(pem.encode()).public_bytes(serialization.Encoding.DER))
    raw[-1] ^= 1
    forged = x509.load_der_x509_csr(bytes(raw)).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(services.BadSigningRequest):
        issue(at, forged)
    assert Certificate.objects.count() == 0


@pytest.mark.parametrize(
    "junk", ["", "no pem", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----"]
)
def test_junk_is_refused(cart: None, at: datetime, junk: str) -> None:
    with pytest.raises(services.BadSigningRequest):
        services.issue_certificate(workload=CART, csr_pem=junk, node="node-1", at=at)


def test_another_curve_is_refused(cart: None, at: datetime) -> None:
    with pytest.raises(services.BadSigningRequest, match="P-256"):
        issue(at, pki.new_request(ec.generate_private_key(ec.SECP384R1())))


def test_an_unknown_workload_gets_none(at: datetime) -> None:
    with pytest.raises(services.UnknownWorkload):
        issue(at)
    assert Certificate.objects.count() == 0


def test_a_suspended_workload_gets_none(cart: None, at: datetime) -> None:
    identity.suspend_subject(key=f"workload:{CART}", actor=SYSTEM, at=at)
    with pytest.raises(services.UnknownWorkload):
        issue(at)


def test_a_key_serves_one_workload(cart: None, at: datetime) -> None:
    workload("payments")
    csr = pki.new_request(pki.new_private_key())
    issue(at, csr)
    issue(at, csr)
    with pytest.raises(services.KeyReused):
        issue(at, csr, of="spiffe://shop.test/ns/shop/sa/payments")


def test_it_is_recorded_announced_and_recognised(cart: None, at: datetime) -> None:
    made = issue(at)
    event = Event.objects.get(action="trust.certificate.issued")
    assert (event.actor_id, event.target_id) == ("node:node-1", CART)
    assert Message.objects.get(topic="trust.certificate.issued").key == CART
    assert selectors.identities(at=at) == {made.fingerprint: CART}
    assert selectors.identities(at=at + timedelta(days=31)) == {}


def test_there_is_one_authority_and_its_key_is_sealed(cart: None, at: datetime) -> None:
    issue(at)
    issue(at)
    authority = Authority.objects.get()
    assert b"PRIVATE KEY" not in bytes(authority.key_sealed)
    assert Event.objects.filter(action="trust.authority.created").count() == 1


def test_the_command_writes_a_key_only_its_owner_can_read(cart: None, tmp_path: Path) -> None:
    paths = {name: tmp_path / name for name in ("key", "cert", "ca")}
    call_command(
        "issue_certificate", CART, key_out=paths["key"], cert_out=paths["cert"], ca_out=paths["ca"], stdout=None
    )
    assert paths["key"].stat().st_mode & 0o777 == 0o600
    key = serialization.load_pem_private_key(paths["key"].read_bytes(), None)
    cert = x509.load_pem_x509_certificate(paths["cert"].read_bytes())
    assert key.public_key() == cert.public_key()
    cert.verify_directly_issued_by(x509.load_pem_x509_certificate(paths["ca"].read_bytes()))


def test_the_command_refuses_a_stranger(tmp_path: Path) -> None:
    out = tmp_path / "x"
    with pytest.raises(CommandError, match="No active workload"):
        call_command("issue_certificate", "spiffe://shop.test/nobody", key_out=out, cert_out=out, ca_out=out)
    assert not out.exists()
