"""The road of a grant through the edge: compiled, rehearsed, applied and proven on a really running local edge."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests

from apps.access import services as access
from apps.access.models import Grant
from apps.audit.actors import SYSTEM
from apps.identity import services as identity
from apps.identity.models import SignalAction, SignalChannel
from apps.identity.proofs import limits
from apps.rollout.models import Activation, PendingChange, Probe, RevisionArtifact, Target
from apps.trust import services as trust
from tests.factories import access as factory
from tests.factories import identity as people
from tests.factories import pages
from tests.localedge.standin import StandIn, eventually
from tests.rollout.world import Hands, doors, edge_spec, grant_to, make_target, now

pytestmark = pytest.mark.django_db
DAN, BOT = "person:dan", "agent:release-bot"


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def shop() -> factory.Shop:
    return factory.shop()


@pytest.fixture
def edge(standin: StandIn, shop: factory.Shop, hands: Hands) -> Target:
    """An edge target whose first configuration is live."""
    make_target(edge_spec(standin.control, f"http://127.0.0.1:{standin.ports['data']}"))

    def live() -> bool:
        hands.work("edge")
        return Target.objects.get().active_number > 0

    eventually(live)
    return Target.objects.get()


def settle(hands: Hands, grant: Grant, point: str, state: str) -> None:
    """Work until the door is there; a failure tells what stands in the way."""

    def there() -> bool:
        hands.work()
        return doors(grant)[point] == state

    try:
        eventually(there)
    except AssertionError as late:
        raise AssertionError(story()) from late


def story() -> str:
    rows = [
        *Target.objects.values_list("slug", "error", "retry_at"),
        *PendingChange.objects.values_list("service", "cause", "error"),
        *Activation.objects.values_list("revision__number", "state", "error"),
        *Probe.objects.values_list("point", "expect", "state", "verdict", "reason", "detail", "due_at"),
        *Grant.objects.values_list("public_id", "state", "error"),
    ]
    return "\n".join(map(str, rows))


def call(standin: StandIn, subject: str, method: str = "POST", path: str = "/payments/refunds") -> int:
    token = trust.sign_edge_token(subject=subject, client_id="test", at=now()).token
    return standin.get(path, method=method, headers={"Authorization": f"Bearer {token}"}).status_code


def test_the_first_configuration_goes_live(edge: Target, standin: StandIn, shop: factory.Shop) -> None:
    first = Activation.objects.get()
    assert first.state == "active"
    assert first.revision.rehearsed > 0
    assert call(standin, "person:ada") == 403


def test_a_grant_opens_is_proven_and_starts_its_clock(
    edge: Target, standin: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    grant = grant_to(shop.ada, shop.ben)
    settle(hands, grant, "edge", "proven")
    grant.refresh_from_db()
    assert grant.state == "active"
    assert (grant.ends_at - grant.starts_at).total_seconds() == 3600
    probe = Probe.objects.get()
    assert (probe.state, probe.verdict, probe.reason, probe.grants) == ("passed", "allow", "granted", [grant.public_id])
    assert call(standin, "person:ada") == 200
    assert call(standin, "person:ben") == 403
    assert Activation.objects.get(pk=probe.activation_id).state == "proven"


def test_the_true_end_travels_without_disturbing_the_proof(
    edge: Target, standin: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    grant = grant_to(shop.ada, shop.ben)
    settle(hands, grant, "edge", "proven")
    grant.refresh_from_db()
    item = standin.item("GET", "payments").json()
    refund = [route for route, *_ in item["routes"]].index("refund")
    window = [int(grant.starts_at.timestamp()), int(grant.ends_at.timestamp())]
    assert item["grants"] == [[grant.public_id, [refund], *window]]
    assert doors(grant) == {"edge": "proven"}
    assert Probe.objects.count() == 1


def test_an_ended_grant_is_closed_and_seen_to_be(
    edge: Target, standin: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    grant = grant_to(shop.ada, shop.ben)
    settle(hands, grant, "edge", "proven")
    access.end_grant(public_id=grant.public_id, actor=shop.ada, at=now(), why="done")
    settle(hands, grant, "edge", "closed")
    closing = Probe.objects.get(expect="deny")
    assert (closing.verdict, closing.reason) == ("deny", "no_grant")
    assert call(standin, "person:ada") == 403


def test_a_grant_to_a_team_is_proven_by_a_member(
    edge: Target, standin: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    grant = grant_to(shop.storefront, shop.ben, actor=shop.ada)
    settle(hands, grant, "edge", "proven")
    assert Probe.objects.get().subject == "person:ada"


def test_code_is_not_touched_by_a_grant(edge: Target, shop: factory.Shop, hands: Hands) -> None:
    grant = grant_to(shop.ada, shop.ben)
    settle(hands, grant, "edge", "proven")
    changed = set(RevisionArtifact.objects.filter(revision__number__gt=1).values_list("path", flat=True))
    assert changed == {"services/payments"}


def test_a_suspended_person_is_shut_out_and_seen_to_be(
    edge: Target, standin: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    grant = grant_to(shop.ada, shop.ben)
    settle(hands, grant, "edge", "proven")
    held = trust.sign_edge_token(subject="person:ada", client_id="test", at=now()).token
    identity.suspend_subject(key="person:ada", actor=SYSTEM, at=now())
    settle(hands, grant, "edge", "closed")
    answer = standin.get("/payments/refunds", method="POST", headers={"Authorization": f"Bearer {held}"})
    assert answer.status_code == 403


def test_whoever_left_is_refused_with_a_token_that_is_still_good_and_so_is_their_agent(
    edge: Target, standin: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    """The item says that they are turned away, for as long as a token of theirs may be about."""
    of_a_team = people.team("ops", members=(shop.dan,))
    grants = [
        grant_to(shop.dan, shop.ben),
        grant_to(shop.bot, shop.ben, actor=shop.dan),
        grant_to(of_a_team, shop.ben, actor=shop.dan, routes=("list",)),
    ]
    for grant in grants:
        settle(hands, grant, "edge", "proven")
    held = {who: trust.sign_edge_token(subject=who, client_id="test", at=now()).token for who in (DAN, BOT)}
    assert call_with(standin, held[DAN], "GET", "/payments/payments").status_code == 200
    okta = people.provider("okta")
    identity.link_login(issuer=okta.issuer, sub="00u1", subject_key=DAN, actor=SYSTEM, at=now())
    said = identity.Told("1", "user.lifecycle.deactivate", SignalAction.LEAVE, okta.issuer, "00u1")
    identity.receive(provider=okta, channel=SignalChannel.EVENT_HOOK, told=[said], at=now())
    for grant in grants[:2]:
        settle(hands, grant, "edge", "closed")
    calls = [(DAN, "POST", "/payments/refunds"), (BOT, "POST", "/payments/refunds"), (DAN, "GET", "/payments/payments")]
    answers = [call_with(standin, held[who], method, path) for who, method, path in calls]
    assert [(one.status_code, one.json()["reason"]) for one in answers] == [(403, "subject_revoked")] * 3
    assert [one.json().get("request_url") for one in answers] == [None] * 3
    assert doors(grants[2])["edge"] in {"proven", "open"}, "the team keeps what it has"


def test_whoever_signs_out_everywhere_gets_in_with_a_new_token_only(
    edge: Target, standin: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    settle(hands, grant_to(shop.ada, shop.ben), "edge", "proven")
    held = trust.sign_edge_token(subject="person:ada", client_id="test", at=now()).token
    identity.sign_out_everywhere(subject_key="person:ada", actor=shop.ada.actor, at=now())
    hands.work()
    fresh = trust.sign_edge_token(subject="person:ada", client_id="test", at=now() + timedelta(seconds=2)).token
    answers = [call_with(standin, token, "POST", "/payments/refunds") for token in (held, fresh)]
    assert [one.status_code for one in answers] == [401, 200]
    assert answers[0].json()["reason"] == "token_revoked"


def test_a_spent_budget_is_told_to_the_door_and_a_larger_one_too(
    edge: Target, standin: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    settle(hands, grant_to(shop.bot, shop.ben, actor=shop.dan), "edge", "proven")
    held = trust.sign_edge_token(subject=BOT, client_id="test", at=now()).token
    limits.set_limits(subject_key=BOT, calls_per_day=1, calls_per_minute=None, actor=SYSTEM, at=now())
    pages.call(shop.bot, at=now(), verdict="allow", reason="granted")
    hands.work()
    answer = call_with(standin, held, "POST", "/payments/refunds")
    assert (answer.status_code, answer.json()["reason"]) == (429, "budget_spent")
    assert 0 < int(answer.headers["Retry-After"]) <= 86_400
    limits.set_limits(subject_key=BOT, calls_per_day=5, calls_per_minute=None, actor=SYSTEM, at=now())
    hands.work()
    assert call_with(standin, held, "POST", "/payments/refunds").status_code == 200


def call_with(standin: StandIn, token: str, method: str, path: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    return standin.get(path, method=method, headers=headers)
