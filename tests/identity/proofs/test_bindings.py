"""Who may say what stands for whom, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connections
from joserfc.jwk import ECKey, OctKey

from apps.audit.actors import SYSTEM
from apps.audit.errors import NotFound
from apps.audit.models import Event
from apps.identity import services as identity
from apps.identity.errors import BindingTaken, InvalidBinding, InvalidLimits, MayNotBind, Suspended
from apps.identity.models import AgentLimits, ProofSeen, Subject, Tally, WorkloadIdentity
from apps.identity.proofs import bindings, limits, replay
from apps.identity.proofs.bindings import Outside
from apps.identity.proofs.limits import LimitReached
from apps.identity.proofs.outcome import ProofRefused
from apps.outbox.models import Message
from tests.factories.identity import agent, person, team, workload

pytestmark = pytest.mark.django_db

AT = datetime(2026, 3, 2, 9, 0, 30, tzinfo=UTC)
ROLE = Outside(kind="aws_role", account="123456789012", name="payments")
PUBLIC = ECKey.generate_key("P-256", {"kid": "a"}).as_dict(private=False)
PRIVATE = ECKey.generate_key("P-256", {"kid": "a"}).as_dict(private=True)


def bind(subject: Subject, outside: Outside = ROLE, actor: Subject | None = None) -> WorkloadIdentity:
    return bindings.bind(subject_key=subject.key, outside=outside, actor=actor.actor if actor else SYSTEM, at=AT)


def test_a_binding_is_recorded_and_told() -> None:
    made = bind(workload())
    event = Event.objects.get(action="identity.binding.added")
    assert (event.target_id, event.after["outside"]) == (made.subject.key, "arn:aws:iam::123456789012:role/payments")
    assert Message.objects.filter(topic="identity.subject.changed", key=made.subject.key).exists()


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        (lambda: person("ada", roles=("administrator",)), True),
        (lambda: person("ben"), True),
        (lambda: person("dan"), True),
        (lambda: person("eve"), False),
        (lambda: person("max"), False),
        (lambda: person("cyd", roles=("security",)), False),
        (lambda: agent(), False),
    ],
    ids=["administrator", "team owner", "its owner", "member", "stranger", "security", "the agent itself"],
)
def test_those_who_answer_for_an_agent_bind_it_and_nobody_else(who: Callable[[], Subject], allowed: bool) -> None:
    dan, ben, eve = person("dan"), person("ben"), person("eve")
    bot = agent(owner=dan, team=team("payments", owners=(ben,), members=(eve,)))
    actor = who() if who().kind == "person" else bot
    if allowed:
        assert bind(bot, actor=actor).subject == bot
        return
    with pytest.raises(MayNotBind):
        bind(bot, actor=actor)
    assert WorkloadIdentity.objects.count() == 0


def test_an_outside_identity_stands_for_one_at_a_time() -> None:
    first = bind(workload())
    with pytest.raises(BindingTaken):
        bind(agent())
    bindings.end_binding(binding_id=first.pk, subject_key=first.subject.key, actor=SYSTEM, at=AT)
    assert bind(agent()).subject == agent()


def test_the_same_name_in_another_account_or_partition_is_another() -> None:
    bind(workload())
    bind(agent(), replace(ROLE, account="210987654321"))
    bind(agent(), replace(ROLE, partition="aws-cn"))
    bind(agent(), replace(ROLE, kind="aws_user"))


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"kind": "saml"}, "kind"),
        ({"account": "12345678901"}, "account"),
        ({"account": "١٢٣٤٥٦٧٨٩٠١٢"}, "account"),
        ({"name": "a/b"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"partition": "aws-moon"}, "partition"),
        ({"stable_id": "AROA *"}, "stable_id"),
        ({"kind": "jwt", "issuer": "nobody", "sub": "x"}, "issuer"),
        ({"kind": "key"}, "jwks"),
        ({"kind": "key", "jwks": {"keys": []}}, "jwks"),
        ({"kind": "key", "jwks": {"keys": "x"}}, "jwks"),
        ({"kind": "key", "jwks": {"keys": [PRIVATE]}}, "jwks"),
        ({"kind": "key", "jwks": {"keys": [OctKey.generate_key(256, {"kid": "a"}).as_dict()]}}, "jwks"),
        ({"kind": "key", "jwks": {"keys": [{**PUBLIC, "kid": ""}]}}, "jwks"),
        ({"kind": "key", "jwks": {"keys": [{**PUBLIC, "kid": "a\x00"}]}}, "jwks"),
        ({"kind": "key", "jwks": {"keys": [{**PUBLIC, "x": "!"}]}}, "jwks"),
        ({"kind": "key", "jwks": {"keys": [{"kty": ["EC"], "kid": "a"}]}}, "jwks"),
        ({"kind": "key", "jwks": {"keys": [PUBLIC] * 11}}, "jwks"),
    ],
)
def test_what_does_not_describe_an_outside_identity_is_refused(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidBinding) as found:
        bind(workload(), replace(ROLE, **changed))
    assert list(found.value.fields) == [field]


def test_only_what_makes_a_key_public_is_kept() -> None:
    made = bind(agent(), Outside(kind="key", jwks={"keys": [{**PUBLIC, "note": "\x00"}], "more": 1}))
    assert set(made.jwks["keys"][0]) == {"kty", "kid", "crv", "x", "y"}


def test_people_and_teams_are_not_bound() -> None:
    for one in (person(), team()):
        with pytest.raises(InvalidBinding):
            bind(one)


def test_the_suspended_are_not_bound() -> None:
    identity.suspend_subject(key=workload().key, actor=SYSTEM, at=AT)
    with pytest.raises(Suspended):
        bind(workload())


def test_ending_twice_is_ending_once_and_needs_the_right() -> None:
    made = bind(workload())
    with pytest.raises(MayNotBind):
        bindings.end_binding(binding_id=made.pk, subject_key=made.subject.key, actor=person().actor, at=AT)
    for _ in range(2):
        bindings.end_binding(binding_id=made.pk, subject_key=made.subject.key, actor=SYSTEM, at=AT, why="moved")
    assert Event.objects.filter(action="identity.binding.ended").count() == 1


def test_a_binding_is_ended_on_the_page_of_its_own_subject_only() -> None:
    made = bind(workload())
    with pytest.raises(NotFound):
        bindings.end_binding(binding_id=made.pk, subject_key=agent().key, actor=SYSTEM, at=AT)


def test_what_aws_no_longer_has_stands_for_nobody() -> None:
    made = bind(workload(), replace(ROLE, stable_id="AROAAAAAAAAAAAAAAAAAA"))
    assert bindings.end_vanished(stable_ids=["AROAAAAAAAAAAAAAAAAAA"], at=AT) == 1
    made.refresh_from_db()
    assert (made.ended_at, made.ended_why) == (AT, "AWS no longer has it.")


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_spends_a_proof() -> None:
    start, won = Barrier(6), []

    def spend() -> None:
        try:
            start.wait()
            replay.spend("d" * 64, expires_at=AT)
            won.append(1)
        except ProofRefused:
            pass
        finally:
            connections.close_all()

    threads = [Thread(target=spend) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (len(won), ProofSeen.objects.count()) == (1, 1)


# limits


def limit(day: int | None, minute: int | None = None) -> AgentLimits:
    return limits.set_limits(subject_key=agent().key, calls_per_day=day, calls_per_minute=minute, actor=SYSTEM, at=AT)


def ask(at: datetime = AT) -> None:
    limits.require_within(agent().key, tokens_per_minute=5, at=at)


def test_a_spent_budget_gives_no_token_until_midnight() -> None:
    limit(100)
    limits.count_calls({(agent().key, AT - timedelta(hours=2)): 60, (agent().key, AT - timedelta(minutes=1)): 39})
    ask()
    limits.count_calls({(agent().key, AT): 1})
    with pytest.raises(LimitReached, match="100 calls of this day") as found:
        ask()
    assert found.value.retry_after == 14 * 3600 + 59 * 60 + 30
    ask(AT + timedelta(days=1))


def test_calls_of_yesterday_spend_nothing() -> None:
    limit(1)
    limits.count_calls({(agent().key, AT - timedelta(hours=10)): 5})
    ask()


def test_a_busy_minute_gives_no_token_until_the_next() -> None:
    limit(None, 10)
    limits.count_calls({(agent().key, AT): 10})
    with pytest.raises(LimitReached, match="10 calls of this minute") as found:
        ask()
    assert found.value.retry_after == 30
    ask(AT + timedelta(seconds=30))


def test_nobody_takes_tokens_without_end() -> None:
    for _ in range(5):
        limits.require_within("person:ada", tokens_per_minute=5, at=AT)
    with pytest.raises(LimitReached, match="More than 5 tokens"):
        limits.require_within("person:ada", tokens_per_minute=5, at=AT)
    limits.require_within("person:ada", tokens_per_minute=5, at=AT + timedelta(minutes=1))


def test_limits_are_recorded_once_and_may_be_taken_away() -> None:
    limit(100)
    limit(100)
    limit(None)
    assert Event.objects.filter(action="identity.limits.changed").count() == 2
    assert AgentLimits.objects.get().calls_per_day is None


@pytest.mark.parametrize("value", [0, -1, 2_000_000_000])
def test_limits_that_are_none_are_refused(value: int) -> None:
    with pytest.raises(InvalidLimits):
        limit(value)


def test_only_agents_have_limits_and_they_do_not_set_them() -> None:
    with pytest.raises(InvalidLimits):
        limits.set_limits(subject_key=workload().key, calls_per_day=1, calls_per_minute=None, actor=SYSTEM, at=AT)
    with pytest.raises(MayNotBind):
        limits.set_limits(
            subject_key=agent().key, calls_per_day=None, calls_per_minute=None, actor=agent().actor, at=AT
        )


def test_old_tallies_are_forgotten() -> None:
    limits.count("calls:agent:x", at=AT)
    assert limits.forget(at=AT + timedelta(days=1)) == 0
    assert limits.forget(at=AT + timedelta(days=3)) == 1
    assert Tally.objects.count() == 0
