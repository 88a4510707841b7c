"""Outside identities, budgets and issuers, through the pages and the API as people use them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.test import Client
from joserfc.jwk import ECKey
from pytest_django import Settings

from apps.audit.actors import SYSTEM
from apps.identity import checks
from apps.identity.models import AgentLimits, Subject, Tally, TrustedIssuer, WorkloadIdentity
from apps.identity.proofs import aws_sts, bindings
from apps.identity.proofs.bindings import Outside
from tests.factories import pages
from tests.factories.identity import agent, person, team, workload
from tests.identity.proofs.aws import ACCOUNT, Aws
from tests.identity.proofs.issuer import Issuer, running_issuer

pytestmark = pytest.mark.django_db

PUBLIC = ECKey.generate_key("P-256", {"kid": "a"}).as_dict(private=False)


@pytest.fixture
def ben() -> Subject:
    """Owns the team of the payments workload and of the bot."""
    ben = person("ben")
    owning = team("payments", owners=(ben,))
    workload(team=owning)
    agent(team=owning)
    return ben


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as started:
        yield started


def who(subject: Subject, rest: str = "") -> str:
    return f"/settings/who/{subject.key}/{rest}"


def administrator() -> Client:
    return pages.signed_in(person("eve", roles=("administrator",)))


def test_an_owner_binds_a_role_and_ends_it(ben: Subject) -> None:
    browser, payments = pages.signed_in(ben), Subject.objects.get(kind="workload")
    form = {"account": ACCOUNT, "name": "payments", "partition": "aws"}
    done = browser.post(who(payments, "proofs?kind=aws_role"), form, follow=True)
    text = done.content.decode()
    assert f"arn:aws:iam::{ACCOUNT}:role/payments is payments from now on." in text
    assert "Never used" in text
    binding = WorkloadIdentity.objects.get()
    ended = browser.post(who(payments, f"proofs/{binding.pk}/end"), follow=True).content.decode()
    assert "proves nothing any more" in ended
    assert "Ended" in ended


def test_each_kind_has_its_form(ben: Subject) -> None:
    browser, payments = pages.signed_in(ben), Subject.objects.get(kind="workload")
    fields = {"aws_role": "account", "aws_user": "name", "jwt": "conditions", "key": "jwks", "x": "name"}
    for kind, field in fields.items():
        assert f'name="{field}"' in browser.get(who(payments, f"proofs?kind={kind}")).content.decode()


@pytest.mark.parametrize(
    ("kind", "form", "said"),
    [
        ("aws_role", {"account": "1", "name": "x", "partition": "aws"}, "It does not look like one."),
        ("aws_role", {"account": "", "name": "", "partition": "aws"}, "This field is required."),
        ("key", {"jwks": "{"}, "This is not JSON."),
        ("key", {"jwks": "[" * 5000}, "This is not JSON."),
        ("key", {"jwks": "[]"}, "Give a JWK set"),
        ("jwt", {"issuer": "nobody", "sub": "x"}, "Select a valid choice"),
    ],
)
def test_a_form_that_is_wrong_comes_back_with_words(ben: Subject, kind: str, form: dict[str, str], said: str) -> None:
    answer = pages.signed_in(ben).post(who(Subject.objects.get(kind="workload"), f"proofs?kind={kind}"), form)
    assert answer.status_code == 422
    assert said in answer.content.decode()


def test_a_taken_identity_is_said_to_be(ben: Subject) -> None:
    outside = Outside(kind="aws_role", account=ACCOUNT, name="payments")
    bindings.bind(subject_key=agent().key, outside=outside, actor=SYSTEM, at=datetime.now(UTC))
    form = {"account": ACCOUNT, "name": "payments", "partition": "aws"}
    answer = pages.signed_in(ben).post(who(Subject.objects.get(kind="workload"), "proofs?kind=aws_role"), form)
    assert "already stands for" in answer.content.decode()


def test_those_it_does_not_concern_see_nothing_of_it(ben: Subject) -> None:
    payments = Subject.objects.get(kind="workload")
    assert "How it proves itself" in pages.signed_in(ben).get(who(payments)).content.decode()
    watcher = pages.signed_in(person("cyd", roles=("security",))).get(who(payments)).content.decode()
    assert ("How it proves itself" in watcher, "/proofs" in watcher) == (True, False)
    assert "How it proves itself" not in pages.signed_in(person("zed")).get(who(payments)).content.decode()


def test_an_agents_budget_is_set_on_its_page(ben: Subject) -> None:
    browser, bot = pages.signed_in(ben), Subject.objects.get(kind="agent")
    assert "0, without a limit" in browser.get(who(bot)).content.decode()
    done = browser.post(who(bot, "limits"), {"calls_per_day": "100", "calls_per_minute": ""}, follow=True)
    assert "0 of 100" in done.content.decode()
    refused = browser.post(who(bot, "limits"), {"calls_per_day": "-1"}, follow=True).content.decode()
    assert "whole numbers from 1" in refused
    assert AgentLimits.objects.get().calls_per_day == 100


def test_calls_the_doors_let_through_are_counted_once(ben: Subject) -> None:
    bot, rid = Subject.objects.get(kind="agent"), uuid4().hex
    at = datetime.now(UTC)
    for _ in range(2):
        pages.call(bot, at=at, verdict="allow", reason="granted", rids=[rid])
    pages.call(bot, at=at, verdict="allow", reason="granted")
    pages.call(bot, at=at)
    pages.call(ben, at=at, verdict="allow", reason="granted")
    assert [(one.key, one.count) for one in Tally.objects.all()] == [(f"calls:{bot.key}", 2)]


def test_an_administrator_trusts_an_issuer_and_switches_it_off(issuer: Issuer) -> None:
    browser = administrator()
    form = {"kind": "github", "slug": "ci", "issuer": issuer.issuer}
    assert "Tokens of ci are checked" in browser.post("/settings/issuers/", form, follow=True).content.decode()
    assert TrustedIssuer.objects.get().jwks_uri == f"{issuer.issuer}/keys"
    browser.post("/settings/issuers/ci/switch", {"to": "off"})
    assert TrustedIssuer.objects.get().enabled is False
    wrong = browser.post("/settings/issuers/", {"kind": "eks", "slug": "x", "issuer": "nonsense"})
    assert (wrong.status_code, "An address that begins with https://" in wrong.content.decode()) == (422, True)


def test_keys_that_were_pasted_can_be_replaced() -> None:
    browser = administrator()
    form = {"kind": "eks", "slug": "inner", "issuer": "https://kubernetes.default.svc", "jwks": "nonsense"}
    assert "This is not JSON." in browser.post("/settings/issuers/", form).content.decode()
    form["jwks"] = json.dumps({"keys": [PUBLIC]})
    assert "its keys were given" in browser.post("/settings/issuers/", form, follow=True).content.decode()
    other = json.dumps({"keys": [{**PUBLIC, "kid": "next"}]})
    browser.post("/settings/issuers/inner/switch", {"jwks": other})
    assert [key["kid"] for key in TrustedIssuer.objects.get().jwks["keys"]] == ["next"]
    wrong = browser.post("/settings/issuers/inner/switch", {"jwks": "{}"}, follow=True)
    assert "Give a JWK set" in wrong.content.decode()


def test_nobody_else_adds_an_issuer(ben: Subject) -> None:
    answer = pages.signed_in(ben).post("/settings/issuers/", {"kind": "github", "slug": "ci"})
    assert (answer.status_code, TrustedIssuer.objects.count()) == (302, 0)


# the API


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(f"/api/v1/{path}", json.dumps(body), content_type="application/json")


def test_the_api_binds_lists_and_ends(ben: Subject) -> None:
    client, bot = pages.signed_in(ben), Subject.objects.get(kind="agent")
    made = post(client, f"subjects/{bot.key}/proofs/", {"kind": "key", "jwks": {"keys": [PUBLIC]}})
    assert (made.status_code, made.json()["client_id"][:3], made.json()["outside"][:3]) == (201, "sc_", "sc_")
    listed = client.get(f"/api/v1/subjects/{bot.key}/proofs/").json()["results"]
    assert [one["id"] for one in listed] == [made.json()["id"]]
    ended = post(client, f"subjects/{bot.key}/proofs/{made.json()['id']}/end/", {"why": "moved"}).json()
    assert (ended["ended_why"], ended["ended_at"] is not None) == ("moved", True)


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "saml"},
        {"kind": "aws_role"},
        {"kind": "jwt", "issuer": "x", "sub": "a\x00"},
        {"kind": "key", "jwks": "x"},
        {"kind": "key", "jwks": {"keys": [{"kty": "EC", "kid": "\ud800"}]}},
        {"kind": "aws_role", "conditions": [{"claim": [], "match": "equal", "value": "x"}]},
        [],
        None,
    ],
)
def test_the_api_refuses_what_describes_nothing(ben: Subject, body: Any) -> None:
    answer = post(pages.signed_in(ben), f"subjects/{agent(team=team('payments')).key}/proofs/", body)
    assert 400 <= answer.status_code < 500
    assert answer["Content-Type"] == "application/problem+json"


def test_the_api_sets_a_budget(ben: Subject) -> None:
    client, bot = pages.signed_in(ben), Subject.objects.get(kind="agent")
    answer = post(client, f"subjects/{bot.key}/limits/", {"calls_per_day": 5, "calls_per_minute": None})
    assert answer.json() == {"calls_per_day": 5, "calls_per_minute": None, "calls_today": 0}


def test_the_api_trusts_an_issuer(issuer: Issuer) -> None:
    answer = post(administrator(), "issuers/", {"slug": "ci", "kind": "gitlab", "issuer": issuer.issuer})
    assert (answer.status_code, answer.json()["single_use"]) == (201, True)
    off = post(administrator(), "issuers/ci/switch/", {"enabled": False})
    assert off.json()["enabled"] is False
    assert post(administrator(), "issuers/ci/switch/", {}).status_code == 422
    given = {"slug": "inner", "kind": "eks", "issuer": "https://kubernetes.default.svc", "jwks": {"keys": [PUBLIC]}}
    assert post(administrator(), "issuers/", given).json()["jwks_uri"] == ""
    other = post(administrator(), "issuers/inner/switch/", {"jwks": {"keys": [{**PUBLIC, "kid": "next"}]}})
    assert (other.status_code, TrustedIssuer.objects.get(slug="inner").jwks["keys"][0]["kid"]) == (200, "next")


# what stands in the documentation, and in the settings


def test_the_reference_client_in_the_documentation_proves_itself(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path(settings.BASE_DIR, "docs/how-to/workloads-on-aws.md").read_text()
    client = next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "def proof" in block)
    for name, value in {
        "SALLYPORT": "http://127.0.0.1:8000",
        "AWS_ACCESS_KEY_ID": aws.user.access_key,
        "AWS_SECRET_ACCESS_KEY": aws.user.secret_key,
    }.items():
        monkeypatch.setenv(name, value)
    there: dict[str, Any] = {}
    exec(client.partition("answer =")[0], there)  # noqa: S102 - our own documentation
    outside = Outside(kind="aws_user", account=ACCOUNT, name="deployer")
    bindings.bind(subject_key=workload().key, outside=outside, actor=SYSTEM, at=datetime.now(UTC))
    assert aws_sts.prove(there["proof"](), at=datetime.now(UTC)).way == f"aws-sts:{ACCOUNT}/deployer"


def test_what_aws_says_is_not_asked_over_plain_http_in_production(settings: Settings) -> None:
    settings.SALLYPORT_AWS_STS_URL = "http://127.0.0.1:9"
    assert [one.id for one in checks.check_aws()] == []
    settings.SALLYPORT_PLAIN_HTTP = False
    settings.SALLYPORT_AWS_REGIONS = ["evil.test"]
    settings.SALLYPORT_TOKENS_PER_MINUTE = 0
    assert [one.id for one in checks.check_aws()] == ["identity.E010", "identity.E011", "identity.E012"]
    assert {"identity.E010", "identity.E011", "identity.E012"} <= {one.id for one in run_checks()}
