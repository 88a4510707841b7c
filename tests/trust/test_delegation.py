"""An agent acts for a person: both prove themselves, and the doors let through what both may do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client

from apps.audit.actors import SYSTEM
from apps.identity import services as identity
from apps.identity.models import Subject, Tally
from apps.identity.proofs import limits
from apps.trust import services
from apps.trust.models import TokenCount
from apps.trust.tokens.words import ACCESS_TOKEN, CLIENT_CREDENTIALS, GRANT_TYPE, JWT_BEARER, SESSION
from tests.factories import pages
from tests.factories.identity import agent, api_token, person, user, workload
from tests.identity.proofs.tokens import exchanged

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def keys() -> None:
    services.ensure_keys(at=NOW)


def form(subject: str, actor: str, **changed: str) -> dict[str, str]:
    return {
        "grant_type": GRANT_TYPE,
        "subject_token": subject,
        "subject_token_type": ACCESS_TOKEN,
        "actor_token": actor,
        "actor_token_type": ACCESS_TOKEN,
        **changed,
    }


def owner() -> Subject:
    return person("dan")


def plain(subject: Subject, *scopes: str) -> str:
    return api_token(subject, scopes=scopes or ("edge",))[1]


def test_the_token_names_the_person_and_the_agent_and_is_counted_for_the_agent(client: Client) -> None:
    row, bot = api_token(agent(), scopes=("edge",))
    status, claims = exchanged(client, form(plain(owner()), bot))
    assert (status, claims["sub"], claims["client_id"]) == (200, "person:dan", f"token:{row.prefix}")
    assert claims["act"] == {"iss": claims["iss"], "sub": "agent:release-bot", "sub_profile": "ai_agent"}
    assert TokenCount.objects.get().subject == "agent:release-bot"


def test_a_token_without_an_actor_names_none(client: Client) -> None:
    sent = {name: text for name, text in form(plain(person()), "").items() if text and name != "actor_token_type"}
    assert "act" not in exchanged(client, sent)[1]


def test_a_session_may_lend_itself_to_an_agent() -> None:
    browser = Client()
    browser.force_login(user(owner()))
    sent = form("", plain(agent()), subject_token_type=SESSION)
    assert exchanged(browser, sent)[1]["sub"] == "person:dan"


def test_an_agent_does_not_act_for_somebody_who_only_lent_it_a_token(client: Client) -> None:
    answer = exchanged(client, form(plain(person("ada")), plain(agent())))
    said = "actor_not_allowed: an agent acts for its owner, or for whoever's own token names it in may_act."
    assert answer == (400, {"error": "invalid_grant", "error_description": said})
    assert not TokenCount.objects.exists()


@pytest.mark.parametrize("gone", ["agent:release-bot", "person:dan"], ids=["agent", "owner"])
def test_when_either_is_suspended_there_is_no_token(client: Client, gone: str) -> None:
    sent = form(plain(owner()), plain(agent()))
    identity.suspend_subject(key=gone, actor=SYSTEM, at=NOW)
    assert exchanged(client, sent)[1]["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("subject", "actor", "error"),
    [
        (agent, agent, "An agent acts for a person; subject_token must be a person's."),
        (workload, agent, "An agent acts for a person; subject_token must be a person's."),
        (person, workload, "Only an agent acts for somebody; actor_token must be an agent's."),
        (person, person, "Only an agent acts for somebody; actor_token must be an agent's."),
    ],
)
def test_only_an_agent_acts_and_only_for_a_person(
    client: Client, subject: type[Subject], actor: type[Subject], error: str
) -> None:
    answer = exchanged(client, form(plain(subject()), plain(actor())))
    assert answer == (400, {"error": "invalid_request", "error_description": error})


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"actor_token": ""}, "invalid_request"),
        ({"actor_token_type": ""}, "invalid_request"),
        ({"actor_token_type": SESSION}, "invalid_request"),
        ({"actor_token_type": "x"}, "invalid_request"),
        ({"actor_token": "sp_nonsense"}, "invalid_grant"),
        ({"grant_type": CLIENT_CREDENTIALS, "client_assertion_type": JWT_BEARER}, "invalid_request"),
    ],
)
def test_an_actor_that_proves_nothing_gets_nothing(client: Client, changed: dict[str, str], error: str) -> None:
    status, body = exchanged(client, form(plain(owner()), plain(agent()), **changed))
    assert (status, body["error"]) == (400, error)


def test_both_tokens_need_the_scope(client: Client) -> None:
    assert exchanged(client, form(plain(owner(), "read"), plain(agent())))[1]["error"] == "invalid_scope"
    assert exchanged(client, form(plain(owner()), plain(agent(), "read")))[1]["error"] == "invalid_scope"


def test_the_agents_budget_holds_for_whomever_it_acts(client: Client) -> None:
    sent = form(plain(owner()), plain(agent()))
    limits.set_limits(subject_key=agent().key, calls_per_day=1, calls_per_minute=None, actor=SYSTEM, at=NOW)
    pages.call(person(), at=datetime.now(UTC), verdict="allow", reason="granted", actor=agent().key)
    assert Tally.objects.get(key="calls:agent:release-bot").count == 1
    assert exchanged(client, sent)[0] == 429
