"""A workload signs, AWS says who it is, and it gets an edge token. Against moto, which checks signatures here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from botocore.credentials import Credentials
from django.test import Client
from pytest_django import Settings

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity.models import ProofSeen, Subject, WorkloadIdentity
from apps.identity.proofs import aws_sts, bindings, replay
from apps.identity.proofs.bindings import Outside
from apps.identity.proofs.outcome import ProofRefused, ProofUnavailable
from apps.trust.models import TokenCount
from apps.trust.tokens.words import AWS_STS, GRANT_TYPE
from tests.factories.identity import workload
from tests.identity.proofs.aws import ACCOUNT, Aws, sign
from tests.identity.proofs.tokens import exchanged

pytestmark = pytest.mark.django_db


def now() -> datetime:
    return datetime.now(UTC)


def bound(subject: Subject, kind: str, name: str, stable_id: str = "") -> WorkloadIdentity:
    outside = Outside(kind=kind, account=ACCOUNT, name=name, stable_id=stable_id)
    return bindings.bind(subject_key=subject.key, outside=outside, actor=SYSTEM, at=now())


def test_a_user_that_signs_is_the_workload_it_is_bound_to(aws: Aws) -> None:
    bound(workload(), "aws_user", "deployer")
    proven = aws_sts.prove(sign(aws.user).packed(), at=now())
    assert (proven.subject_key, proven.way) == (workload().key, f"aws-sts:{ACCOUNT}/deployer")


def test_a_role_is_known_by_its_name_and_its_session_says_nothing(aws: Aws) -> None:
    aws.make_role("payments", path="/services/")
    bound(workload(), "aws_role", "payments")
    for session in ("pod-1", "administrator"):
        proven = aws_sts.prove(sign(aws.assume("services/payments", session=session)).packed(), at=now())
        assert proven.way == f"aws-sts:{ACCOUNT}/payments"


def test_a_proof_is_good_once(aws: Aws) -> None:
    bound(workload(), "aws_user", "deployer")
    token = sign(aws.user).packed()
    aws_sts.prove(token, at=now())
    with pytest.raises(ProofRefused, match="used before"):
        aws_sts.prove(token, at=now())
    assert ProofSeen.objects.count() == 1


def test_a_used_proof_is_remembered_for_as_long_as_aws_would_take_it(aws: Aws) -> None:
    bound(workload(), "aws_user", "deployer")
    at = now()
    aws_sts.prove(sign(aws.user).packed(), at=at)
    assert replay.forget(at=at + timedelta(minutes=14, seconds=59)) == 0
    assert replay.forget(at=at + timedelta(minutes=15, seconds=1)) == 1


@pytest.mark.parametrize("minutes", [-5.2, 5.2, -20, 24 * 60])
def test_a_proof_from_another_time_is_refused_before_anybody_is_asked(aws: Aws, minutes: float) -> None:
    signed = sign(aws.user, at=now() + timedelta(minutes=minutes))
    with pytest.raises(ProofRefused, match="within the last five minutes"):
        aws_sts.prove(signed.packed(), at=now())


def test_a_bent_signature_is_refused_by_aws(aws: Aws) -> None:
    signed = sign(aws.user)
    last = signed.headers["Authorization"][-1]
    signed.headers["Authorization"] = signed.headers["Authorization"][:-1] + ("0" if last != "0" else "1")
    with pytest.raises(ProofRefused, match="SignatureDoesNotMatch"):
        aws_sts.prove(signed.packed(), at=now())
    assert ProofSeen.objects.count() == 0


def test_a_server_id_changed_after_signing_is_refused_by_aws(aws: Aws) -> None:
    """Somebody else's console was proven to; its operator cannot use it here."""
    signed = sign(aws.user, server_id="https://elsewhere.test")
    signed.headers["X-Sallyport-Server-Id"] = "http://127.0.0.1:8000"
    with pytest.raises(ProofRefused, match="SignatureDoesNotMatch"):
        aws_sts.prove(signed.packed(), at=now())


def test_an_unknown_key_is_refused_by_aws(aws: Aws) -> None:
    with pytest.raises(ProofRefused, match="InvalidClientTokenId"):
        aws_sts.prove(sign(Credentials("AKIAIOSFODNN7EXAMPLE", "wrong")).packed(), at=now())


def test_somebody_who_is_bound_to_nothing_is_nobody(aws: Aws) -> None:
    with pytest.raises(ProofRefused, match="No workload here is aws_user deployer"):
        aws_sts.prove(sign(aws.user).packed(), at=now())


def test_a_role_made_again_under_the_old_name_does_not_inherit(aws: Aws) -> None:
    first = aws.make_role("phoenix")
    binding = bound(workload(), "aws_role", "phoenix")
    aws_sts.prove(sign(aws.assume("phoenix")).packed(), at=now())
    binding.refresh_from_db()
    assert binding.stable_id == first
    assert Event.objects.filter(action="identity.binding.pinned").count() == 1
    aws.client("iam").delete_role_policy(RoleName="phoenix", PolicyName="all")
    aws.client("iam").delete_role(RoleName="phoenix")
    assert aws.make_role("phoenix") != first
    with pytest.raises(ProofRefused, match="it was made again"):
        aws_sts.prove(sign(aws.assume("phoenix")).packed(), at=now())


def test_an_id_given_at_binding_is_held_to_from_the_start(aws: Aws) -> None:
    aws.make_role("known")
    bound(workload(), "aws_role", "known", stable_id="AROAAAAAAAAAAAAAAAAAA")
    with pytest.raises(ProofRefused, match="it was made again"):
        aws_sts.prove(sign(aws.assume("known")).packed(), at=now())


def test_an_ended_binding_proves_nothing(aws: Aws) -> None:
    binding = bound(workload(), "aws_user", "deployer")
    bindings.end_binding(binding_id=binding.pk, subject_key=workload().key, actor=SYSTEM, at=now())
    with pytest.raises(ProofRefused, match="No workload here"):
        aws_sts.prove(sign(aws.user).packed(), at=now())


def test_without_regions_such_proofs_are_off(aws: Aws, settings: Settings) -> None:
    settings.SALLYPORT_AWS_REGIONS = []
    with pytest.raises(ProofRefused, match="not switched on"):
        aws_sts.prove(sign(aws.user).packed(), at=now())


def test_an_aws_that_does_not_answer_is_said_to_and_the_proof_stays_good(aws: Aws, settings: Settings) -> None:
    settings.SALLYPORT_AWS_STS_URL = "http://127.0.0.1:9"
    with pytest.raises(ProofUnavailable, match="does not answer"):
        aws_sts.prove(sign(aws.user).packed(), at=now())
    assert ProofSeen.objects.count() == 0


def test_the_proof_becomes_an_edge_token_and_is_counted_with_its_way(client: Client, aws: Aws, keys: None) -> None:
    bound(workload(), "aws_user", "deployer")
    form = {"grant_type": GRANT_TYPE, "subject_token_type": AWS_STS, "subject_token": sign(aws.user).packed()}
    status, claims = exchanged(client, form)
    assert (status, claims["sub"], claims["client_id"]) == (200, workload().key, f"aws-sts:{ACCOUNT}/deployer")
    assert TokenCount.objects.get().client_id == f"aws-sts:{ACCOUNT}/deployer"
    again = client.post("/oauth/token", form)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert "used before" in again.json()["error_description"]
