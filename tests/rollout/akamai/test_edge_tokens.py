"""The tokens the code reads EdgeKV with: both kinds, renewed in time, the old one kept until the new one is proven."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from apps.audit.models import Event
from apps.identity import vault
from apps.rollout.drivers.akamai.driver import next_token_name
from apps.rollout.models import EdgeToken, PendingChange, Target, TargetArtifact
from apps.rollout.services import preflights, undoing
from apps.rollout.services.akamai import edge_tokens
from apps.rollout.services.compiling import current_code
from tests.factories import access as factory
from tests.factories import identity as people
from tests.factories.pages import signed_in
from tests.localedge.standin import StandIn, eventually
from tests.rollout.akamai.code import end_the_watch, live, make_edge, newest, worked
from tests.rollout.world import Hands, doors, grant_to, now

pytestmark = pytest.mark.django_db


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture(autouse=True)
def shop() -> factory.Shop:
    return factory.shop()


def configure(standin: StandIn, **settings: object) -> None:
    standin.stop()
    config = standin.directory / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **settings}))
    standin.start()


@pytest.fixture
def older(standin: StandIn) -> Target:
    """An account whose EdgeKV gives tokens out themselves, to end in 20 days."""
    configure(standin, kv_token_style="value", kv_token_days=20)
    return make_edge(standin)


def names(standin: StandIn) -> list[str]:
    rows = standin.call("GET", "/edgekv/v1/tokens").json()["tokens"]
    return sorted(row["name"] for row in rows)


def test_a_token_of_the_newer_kind_is_named_in_the_code_and_does_not_end(standin: StandIn, hands: Hands) -> None:
    target = make_edge(standin)
    token = EdgeToken.objects.get()
    assert (token.uuid, token.expires_on, bytes(token.value_sealed)) == (target.facts["kv_token_ref"], None, b"")
    assert any(token.uuid.encode() in one.content for one in current_code(target))
    assert edge_tokens.keep(target=target, at=now()) is False
    assert names(standin) == [token.name]


def test_a_token_of_the_older_kind_is_in_the_code_itself_sealed_and_works(
    older: Target, shop: factory.Shop, hands: Hands
) -> None:
    token = EdgeToken.objects.get()
    value = vault.unseal(token.value_sealed)
    assert token.expires_on == now().date() + timedelta(days=20)
    assert any(value in one.content for one in current_code(older))
    assert value not in bytes(token.value_sealed)
    assert value.decode() not in json.dumps([older.facts, older.config, list(Event.objects.values("before", "after"))])
    grant = grant_to(shop.ada, shop.ben)
    assert eventually(lambda: worked(hands) and doors(grant) == {"edge": "proven"})


def test_it_is_renewed_before_it_ends_and_the_old_one_goes_when_the_new_one_is_proven(
    older: Target, standin: StandIn, shop: factory.Shop, hands: Hands
) -> None:
    configure(standin, kv_token_days=180)
    first, code = EdgeToken.objects.get(), live(standin)
    assert edge_tokens.keep_all(at=now()) == ["edge"]
    second = EdgeToken.objects.exclude(pk=first.pk).get()
    assert names(standin) == sorted([first.name, second.name])
    assert Target.objects.get().facts["kv_token_ref"] == second.uuid
    assert preflights.wanted_of(Target.objects.get()).token_name == second.name, "the preflight asks for the one in use"
    assert edge_tokens.keep_all(at=now()) == [], "nothing is renewed twice, nothing is deleted before it is proven"
    assert names(standin) == sorted([first.name, second.name])
    assert eventually(lambda: worked(hands) and newest().proven_at and live(standin) != code)
    edge_tokens.keep_all(at=now())
    assert names(standin) == sorted([first.name, second.name]), "it is still being watched"
    end_the_watch()
    edge_tokens.keep_all(at=now())
    assert names(standin) == [second.name]
    grant = grant_to(shop.ada, shop.ben)
    assert eventually(lambda: worked(Hands()) and doors(grant) == {"edge": "proven"})
    actions = Event.objects.filter(action__startswith="rollout.token.").order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["rollout.token.renewed", "rollout.token.deleted"]
    with pytest.raises(undoing.UnsafeCode, match=f"the token {first.name}, which was deleted"):
        undoing.prepare(Target.objects.get(), 1, now())


def test_dying_between_making_and_noting_makes_no_third_token(older: Target, standin: StandIn) -> None:
    configure(standin, kv_token_days=180)
    first = EdgeToken.objects.get()
    standin.faults(rules=[{"method": "POST", "path": ".*/tokens", "status": 503, "times": 1, "after": True}])
    assert edge_tokens.keep(target=older, at=now()) is False
    first.refresh_from_db()
    assert first.error.startswith("Akamai had an error of its own.")
    assert edge_tokens.keep(target=older, at=now()) is True
    assert len(names(standin)) == 2
    assert PendingChange.objects.filter(topic="rollout.token.renewed").count() == 1


def test_a_token_that_ended_is_replaced_under_another_name(older: Target, standin: StandIn, hands: Hands) -> None:
    configure(standin, kv_token_days=180)
    EdgeToken.objects.update(expires_on=now().date() - timedelta(days=1))
    assert edge_tokens.keep(target=older, at=now()) is True
    assert eventually(lambda: worked(hands) and newest().proven_at and newest().state == "watched")


def test_the_page_says_which_token_ends_when(older: Target) -> None:
    client = signed_in(people.person("olga", roles=("operator",)))
    shown = client.get("/rollout/edge/place").content.decode()
    token = EdgeToken.objects.get()
    assert token.name in shown
    assert f"Ends on {token.expires_on:%-d %B %Y}." in shown
    assert "Ends soon" in shown


def test_the_value_stands_in_no_page_of_a_revision(older: Target) -> None:
    client = signed_in(people.person("olga", roles=("operator",)))
    value = vault.unseal(EdgeToken.objects.get().value_sealed).decode()
    assert value not in client.get("/rollout/edge/revisions/1/").content.decode()
    assert TargetArtifact.objects.filter(path="policy.js").exists()


@pytest.mark.parametrize(
    ("used", "name"),
    [(set(), "ns-42"), ({"ns-42"}, "ns-42-2"), ({"ns-42", "ns-42-2"}, "ns-42-3"), ({"ns-42", "ns-42-3"}, "ns-42-2")],
)
def test_names_are_used_once(used: set[str], name: str) -> None:
    assert next_token_name("ns-42", used) == name


def test_a_long_name_stays_within_what_akamai_takes() -> None:
    long = "n" * 32
    assert next_token_name(long, {long}) == f"{'n' * 30}-2"
