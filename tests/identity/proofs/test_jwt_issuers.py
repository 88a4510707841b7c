"""Tokens of AWS accounts, clusters and CI systems: good for exactly what was bound, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from apps.audit.actors import SYSTEM
from apps.identity.errors import InvalidBinding, InvalidIssuer, NotAnAdministrator
from apps.identity.models import TrustedIssuer, WorkloadIdentity
from apps.identity.proofs import bindings, conditions, issuers, jwt_issuers
from apps.identity.proofs.bindings import Outside
from apps.identity.proofs.issuers import IssuerInput
from apps.identity.proofs.outcome import ProofRefused
from apps.trust import services as trust
from apps.trust.tokens.words import ACCESS_TOKEN, GRANT_TYPE, JWT
from tests.factories.identity import agent, api_token, person, workload
from tests.identity.proofs.issuer import ACCOUNT, AUDIENCE, AWS, PLAYS, RSA, Issuer, running_issuer
from tests.identity.proofs.tokens import exchanged

pytestmark = pytest.mark.django_db


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as started:
        yield started


def trusted(issuer: Issuer, plays: str, **more: Any) -> TrustedIssuer:
    account = ACCOUNT if plays == "aws" else ""
    given = IssuerInput(slug=plays, kind=plays, issuer=issuer.issuer, account=account, **more)
    return issuers.add_issuer(given=issuers.completed(given), actor=SYSTEM, at=now())


def bound(plays: str, *lines: str, **more: Any) -> WorkloadIdentity:
    outside = Outside(
        kind="jwt",
        issuer=plays,
        sub=more.get("sub", PLAYS[plays]["sub"]),
        conditions=conditions.parse("\n".join(lines)),
    )
    return bindings.bind(subject_key=workload().key, outside=outside, actor=SYSTEM, at=now())


def refused(token: str) -> str:
    with pytest.raises(ProofRefused) as found:
        jwt_issuers.prove(token, at=now())
    return str(found.value)


@pytest.mark.parametrize("plays", PLAYS)
def test_a_token_of_each_kind_becomes_the_workload_it_is_bound_to(issuer: Issuer, plays: str) -> None:
    trusted(issuer, plays)
    bound(plays)
    found = jwt_issuers.prove(issuer.token(plays), at=now())
    assert (found.subject_key, found.way) == (workload().key, f"jwt:{plays}")
    assert WorkloadIdentity.objects.get().last_used_at is not None


def test_aws_may_sign_with_either_of_its_algorithms(issuer: Issuer) -> None:
    trusted(issuer, "aws")
    bound("aws")
    assert jwt_issuers.prove(issuer.token("aws", ec=True), at=now()).way == "jwt:aws"


def test_github_never_signs_with_another_than_its_own(issuer: Issuer) -> None:
    trusted(issuer, "github")
    bound("github")
    assert refused(issuer.token("github", ec=True)) == jwt_issuers.UNVERIFIED


HOSTILE: dict[str, tuple[str, dict[str, Any], str]] = {
    "another audience": ("github", {"aud": "https://elsewhere.test"}, "does not verify"),
    "audience of AWS": ("eks", {"aud": ["sts.amazonaws.com"]}, "does not verify"),
    "audience of AWS beside ours": ("eks", {"aud": [AUDIENCE, "sts.amazonaws.com"], "azp": AUDIENCE}, "is for AWS"),
    "no audience": ("github", {"aud": None}, "does not verify"),
    "another issuer": ("github", {"iss": "https://token.actions.githubusercontent.com.evil.test"}, "not trusted here"),
    "issuer with a slash more": ("github", {"iss": "+/"}, "not trusted here"),
    "no issuer": ("github", {"iss": None}, "not trusted here"),
    "issuer a list": ("github", {"iss": ["x"]}, "not trusted here"),
    "issuer with a zero": ("github", {"iss": "x\x00"}, "not trusted here"),
    "no end": ("github", {"exp": None}, "does not verify"),
    "an end that is a text": ("github", {"exp": "9999999999"}, "does not verify"),
    "an endless number": ("github", {"exp": 10**400}, "does not verify"),
    "ended": ("github", {"iat": int(time.time()) - 500, "exp": int(time.time()) - 100}, "does not verify"),
    "made in the future": ("github", {"iat": int(time.time()) + 600}, "does not verify"),
    "not yet": ("github", {"nbf": int(time.time()) + 600}, "does not verify"),
    "too long a life": ("github", {"exp": int(time.time()) + 2000}, "longer than 900"),
    "a day of life": ("eks", {"exp": int(time.time()) + 86400}, "longer than 3600"),
    "an old one of long life": ("eks", {"iat": int(time.time()) - 3601, "exp": int(time.time()) + 60}, "not verify"),
    "a fork": ("github", {"sub": "repo:evil/web:ref:refs/heads/main"}, "No workload here"),
    "another branch": ("github", {"sub": "repo:shop/web:ref:refs/heads/mine"}, "No workload here"),
    "a subject in capitals": ("github", {"sub": "repo:SHOP/web:ref:refs/heads/main"}, "No workload here"),
    "no subject": ("github", {"sub": None}, "does not verify"),
    "a subject that is a list": ("github", {"sub": ["repo:shop/web:ref:refs/heads/main"]}, "does not verify"),
    "a pull request": ("github", {"sub": "repo:shop/web:pull_request"}, "No workload here"),
    "a jti that is no text": ("github", {"jti": 7}, "jti is not a text"),
    "an empty jti": ("github", {"jti": ""}, "jti is not a text"),
    "a node": ("eks", {"sub": "system:node:ip-10-0-0-1"}, "not of a service account"),
    "another namespace": ("eks", {"sub": "system:serviceaccount:evil:payments"}, "No workload here"),
    "another account beside the ARN": ("aws", {AWS: {"aws_account": "210987654321"}}, "not of account"),
    "another account in the ARN": ("aws", {"sub": "arn:aws:iam::210987654321:role/payments"}, "not of account"),
    "no account": ("aws", {AWS: {}}, "not of account"),
    "no namespace": ("aws", {AWS: None}, "not of account"),
    "the namespace a text": ("aws", {AWS: "x"}, "not of account"),
    "the root user": ("aws", {"sub": f"arn:aws:iam::{ACCOUNT}:root"}, "not of an IAM role"),
    "another role": ("aws", {"sub": f"arn:aws:iam::{ACCOUNT}:role/payments2"}, "No workload here"),
    "asked for by another": ("github", {"azp": "someone"}, "does not verify"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_token_that_is_wrong_in_one_thing_is_refused(issuer: Issuer, name: str) -> None:
    plays, changed, why = HOSTILE[name]
    trusted(issuer, plays)
    bound(plays)
    if changed.get("iss") == "+/":
        changed = {"iss": issuer.issuer + "/"}
    assert why in refused(issuer.token(plays, **changed))


@pytest.mark.parametrize(
    "header", [{"kid": "other"}, {"kid": ""}, {"typ": "at+jwt"}, {"typ": "logout+jwt"}, {"crit": ["b64"], "b64": True}]
)
def test_a_header_that_is_wrong_is_refused(issuer: Issuer, header: dict[str, Any]) -> None:
    trusted(issuer, "github")
    bound("github")
    assert refused(issuer.token("github", header=header)) == jwt_issuers.UNVERIFIED


def test_another_key_under_the_same_name_is_refused(issuer: Issuer) -> None:
    trusted(issuer, "github")
    bound("github")
    stranger = RSAKey.generate_key(2048, {"kid": "w1"})
    claims = {"iss": issuer.issuer, "aud": AUDIENCE, "iat": int(time.time()), "exp": int(time.time()) + 60, "sub": "x"}
    assert refused(jwt.encode({"alg": "RS256", "kid": "w1"}, claims, stranger)) == jwt_issuers.UNVERIFIED


@pytest.mark.parametrize("token", ["", "x", "a.b", "a.b.c", "e30.e30.e30", "e30.W10.e30", "a." + "W" * 17_000 + ".c"])
def test_what_is_no_token_is_refused(token: str) -> None:
    assert refused(token)


def test_a_token_is_good_once_where_it_names_itself(issuer: Issuer) -> None:
    trusted(issuer, "github")
    bound("github")
    token = issuer.token("github")
    jwt_issuers.prove(token, at=now())
    assert "used before" in refused(token)
    assert "used before" in refused(issuer.token("github", jti=jwt.decode(token, issuer.key).claims["jti"]))
    jwt_issuers.prove(issuer.token("github", jti=None), at=now())
    jwt_issuers.prove(issuer.token("github", jti=None), at=now())


def test_a_pod_may_show_its_token_for_as_long_as_it_holds_it(issuer: Issuer) -> None:
    trusted(issuer, "eks")
    bound("eks")
    token = issuer.token("eks")
    assert [jwt_issuers.prove(token, at=now()).way for _ in range(2)] == ["jwt:eks", "jwt:eks"]


def test_every_condition_must_be_met(issuer: Issuer) -> None:
    trusted(issuer, "github")
    bound("github", "repository_owner_id = 4242", "ref ^= refs/heads/")
    jwt_issuers.prove(issuer.token("github"), at=now())
    for changed in ({"repository_owner_id": "4243"}, {"repository_owner_id": 4242}, {"repository_owner_id": None}):
        assert "does not say: repository_owner_id = 4242" in refused(issuer.token("github", **changed))
    assert "does not say: ref ^= refs/heads/" in refused(issuer.token("github", ref="refs/tags/v1"))


def test_principal_tags_may_be_conditions(issuer: Issuer) -> None:
    trusted(issuer, "aws")
    bound("aws", f"{AWS} > principal_tags > env = prod")
    jwt_issuers.prove(issuer.token("aws"), at=now())
    other = {**PLAYS["aws"][AWS], "principal_tags": {"env": "test"}}
    assert "does not say" in refused(issuer.token("aws", **{AWS: other}))


def test_an_issuer_that_is_switched_off_is_not_believed(issuer: Issuer) -> None:
    trusted(issuer, "github")
    bound("github")
    issuers.switch_issuer(slug="github", enabled=False, actor=SYSTEM, at=now())
    assert "not trusted here" in refused(issuer.token("github"))
    issuers.switch_issuer(slug="github", enabled=True, actor=SYSTEM, at=now())
    jwt_issuers.prove(issuer.token("github"), at=now())


def test_one_issuer_does_not_speak_for_the_subjects_of_another(issuer: Issuer) -> None:
    with running_issuer() as second:
        trusted(issuer, "github")
        trusted(second, "gitlab")
        bound("github")
        assert "No workload here" in refused(second.token("gitlab", sub=PLAYS["github"]["sub"]))


def test_a_job_gets_an_edge_token(client: Client, issuer: Issuer, keys: None) -> None:
    trusted(issuer, "github")
    bound("github")
    form = {"grant_type": GRANT_TYPE, "subject_token_type": JWT, "subject_token": issuer.token("github")}
    status, claims = exchanged(client, form)
    assert (status, claims["sub"], claims["client_id"]) == (200, workload().key, "jwt:github")
    assert exchanged(client, form) == (
        400,
        {
            "error": "invalid_grant",
            "error_description": "This proof was used before; make a new one for each token.",
        },
    )


# issuers


def test_the_presets_fill_in_what_is_left_out(issuer: Issuer) -> None:
    row = trusted(issuer, "eks")
    assert (row.audience, row.algorithms, row.longest_seconds) == (AUDIENCE, ["RS256"], 3600)
    assert (row.jwks_uri, row.single_use) == (f"{issuer.issuer}/keys", False)
    given = IssuerInput(slug="github", kind="github", jwks_uri="https://x.test/keys")
    assert issuers.completed(given).issuer == "https://token.actions.githubusercontent.com"


def test_an_issuer_that_calls_itself_something_else_is_refused(issuer: Issuer) -> None:
    issuer.calls_itself = "https://evil.test"
    with pytest.raises(InvalidIssuer) as found:
        trusted(issuer, "github")
    assert found.value.fields == {"issuer": ["Its discovery document calls itself 'https://evil.test'."]}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"slug": "UPPER"}, "slug"),
        ({"algorithms": ["HS256"]}, "algorithms"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"longest_seconds": 3601}, "longest_seconds"),
        ({"account": "123"}, "account"),
        ({"issuer": "ftp://x.test"}, "issuer"),
        ({"issuer": "https://user@x.test"}, "issuer"),
        ({"issuer": "https://["}, "issuer"),
        ({"issuer": "http://127.0.0.1:9", "jwks_uri": ""}, "issuer"),
        ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri"),
        ({"kind": "ldap"}, "kind"),
    ],
)
def test_an_issuer_that_cannot_be_checked_is_refused(changed: dict[str, Any], field: str) -> None:
    usual = {"slug": "ci", "kind": "other", "issuer": "https://ci.test", "jwks_uri": "https://ci.test/keys"}
    with pytest.raises(InvalidIssuer) as found:
        issuers.add_issuer(given=issuers.completed(IssuerInput(**{**usual, **changed})), actor=SYSTEM, at=now())
    assert list(found.value.fields) == [field]


def test_plain_http_is_for_laptops_only(issuer: Issuer, settings: Any) -> None:
    settings.SALLYPORT_PLAIN_HTTP = False
    with pytest.raises(InvalidIssuer):
        trusted(issuer, "github")


def test_only_an_administrator_trusts_an_issuer() -> None:
    given = IssuerInput(slug="ci", kind="other", issuer="https://ci.test", jwks_uri="https://ci.test/keys")
    with pytest.raises(NotAnAdministrator):
        issuers.add_issuer(given=issuers.completed(given), actor=person().actor, at=now())


def test_an_issuer_is_there_once(issuer: Issuer) -> None:
    trusted(issuer, "github")
    with pytest.raises(InvalidIssuer, match="already"):
        trusted(issuer, "github")


def test_what_the_caller_chose_is_no_condition() -> None:
    with pytest.raises(Exception, match="does not describe") as found:
        conditions.parse(f"{AWS} > request_tags > env = prod")
    assert "they show nothing" in str(found.value.fields)  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", ["ref", "= x", "ref =", "ref ~ x", "ref ^", "a > > b = c"])
def test_a_condition_that_is_not_one_is_refused(line: str) -> None:
    with pytest.raises(Exception, match="does not describe"):
        conditions.parse(line)


def test_conditions_are_shown_as_they_are_written() -> None:
    text = f"ref ^= refs/heads/\n{AWS} > principal_tags > env = prod"
    assert "\n".join(conditions.shown(conditions.parse(text))) == text


def test_an_hour_is_the_longest_life(issuer: Issuer) -> None:
    trusted(issuer, "gitlab")
    bound("gitlab")
    until = now() + timedelta(hours=1)
    jwt_issuers.prove(issuer.token("gitlab", exp=int(until.timestamp())), at=now())


@pytest.mark.parametrize(
    ("may_act", "status"),
    [
        ({"sub": "agent:release-bot"}, 200),
        ({"sub": "agent:release-bot", "iss": AUDIENCE}, 200),
        ({"sub": "agent:release-bot", "iss": "https://elsewhere.test"}, 400),
        ({"sub": "agent:other"}, 400),
        ({"sub": ["agent:release-bot"]}, 400),
        ("agent:release-bot", 400),
        (None, 400),
    ],
    ids=["named", "named as ours", "named elsewhere", "another", "a list", "a text", "nobody"],
)
def test_an_agent_acts_for_a_workload_whose_own_token_names_it(
    client: Client, issuer: Issuer, may_act: object, status: int
) -> None:
    trust.ensure_keys(at=now())
    trusted(issuer, "eks")
    bound("eks")
    sent = {
        "grant_type": GRANT_TYPE,
        "subject_token": issuer.token("eks", may_act=may_act),
        "subject_token_type": JWT,
        "actor_token": api_token(agent(), scopes=("edge",))[1],
        "actor_token_type": ACCESS_TOKEN,
    }
    told, claims = exchanged(client, sent)
    assert told == status
    if status == 200:
        assert (claims["sub"], claims["act"]["sub"]) == (workload().key, "agent:release-bot")


PUBLIC = KeySet([RSA]).as_dict(private=False)


def offline(**more: Any) -> TrustedIssuer:
    """A cluster nobody can ask from here; its keys were given."""
    given = IssuerInput(slug="inner", kind="eks", issuer="https://kubernetes.default.svc", jwks=PUBLIC, **more)
    return issuers.add_issuer(given=issuers.completed(given), actor=SYSTEM, at=now())


def of_account(**changed: Any) -> str:
    return Issuer("https://kubernetes.default.svc").token("eks", **changed)


def test_a_cluster_that_cannot_be_asked_is_believed_by_the_keys_that_were_given() -> None:
    assert offline().jwks_uri == ""
    found = jwt_issuers.cluster_account(of_account(), at=now())
    assert (found.issuer, found.name) == ("inner", "system:serviceaccount:shop:payments")
    assert found == jwt_issuers.cluster_account(of_account(), at=now()), "a pod shows one token many times"


def test_other_keys_replace_those_that_were_given() -> None:
    offline()
    another = RSAKey.generate_key(2048, {"kid": "w9"})
    with pytest.raises(NotAnAdministrator):
        issuers.give_keys(slug="inner", jwks=PUBLIC, actor=person("ada").actor, at=now())
    issuers.give_keys(slug="inner", jwks=KeySet([another]).as_dict(private=False), actor=SYSTEM, at=now())
    with pytest.raises(ProofRefused):
        jwt_issuers.cluster_account(of_account(), at=now())
    with pytest.raises(InvalidBinding):
        issuers.give_keys(slug="inner", jwks=RSA.as_dict(private=True), actor=SYSTEM, at=now())


def test_keys_are_given_only_to_an_issuer_that_is_not_asked(issuer: Issuer) -> None:
    trusted(issuer, "eks")
    with pytest.raises(InvalidIssuer):
        issuers.give_keys(slug="eks", jwks=PUBLIC, actor=SYSTEM, at=now())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"aud": ["https://kubernetes.default.svc"]}, "does not verify"),
        ({"sub": "system:node:a"}, "not of a service account"),
        ({"iss": "https://elsewhere.test"}, "not trusted here"),
        ({"exp": int(time.time()) - 300, "iat": int(time.time()) - 900}, "does not verify"),
        ({"exp": int(time.time()) + 86_400}, "longer than 3600"),
        ({"header": {"alg": "none"}}, "does not verify"),
    ],
)
def test_a_token_of_an_account_is_checked_like_any_other(changed: dict[str, Any], said: str) -> None:
    offline()
    header = changed.pop("header", None)
    token = of_account(**changed)
    if header is not None:
        token = f"eyJhbGciOiJub25lIn0.{token.split('.')[1]}.AA"
    with pytest.raises(ProofRefused, match=said):
        jwt_issuers.cluster_account(token, at=now())


def test_a_job_of_a_ci_system_is_no_account_of_a_cluster(issuer: Issuer) -> None:
    trusted(issuer, "github")
    with pytest.raises(ProofRefused, match="not of a cluster"):
        jwt_issuers.cluster_account(issuer.token("github"), at=now())
