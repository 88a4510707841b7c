"""Live calls, the rollout and the record, on pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity.models import Subject
from apps.outbox.models import Message
from apps.rollout.models import Drift, Target
from apps.telemetry import services
from tests.factories import pages
from tests.reading import text_of

Browse = Callable[[Subject], Client]


# live


def test_a_call_is_one_line_with_both_doors_and_the_reason(house: pages.House, browse: Browse) -> None:
    text = text_of(browse(house.shop.ada), "/live/")
    assert text.count("<title>Edge: refused</title>") == 1
    assert "Nobody has opened this to you." in text
    assert f'href="{house.rid}/ask"' in text


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"verdict": "deny"}, 1),
        ({"verdict": "allow"}, 0),
        ({"subject": "person:ada", "service": "payments", "reason": "no_grant"}, 1),
        ({"reason": "guardrail"}, 0),
        ({"q": "/refunds"}, 1),
        ({"q": "nonsense"}, 0),
    ],
)
def test_the_address_holds_the_filters(house: pages.House, browse: Browse, query: dict[str, str], count: int) -> None:
    assert text_of(browse(house.shop.ada), "/live/", **query).count("<code>/refunds</code>") == count


def test_a_call_is_found_by_its_request_id(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    assert house.rid in text_of(client, "/live/", rid=house.rid)
    assert "No calls yet" in text_of(client, "/live/", rid="0" * 32)


@pytest.mark.parametrize(
    ("reason", "words", "step"),
    [
        ("subject_revoked", "This identity, or whoever answers for it, was suspended.", "Talk to security"),
        ("token_revoked", "The tokens given out to this identity before were revoked.", "Sign in again"),
        ("budget_spent", "This agent&#x27;s calls of the day are used up.", "Wait for midnight UTC"),
    ],
)
def test_a_denial_is_explained_and_nobody_is_sent_to_ask(
    house: pages.House, browse: Browse, reason: str, words: str, step: str
) -> None:
    rid = pages.call(house.shop.ada, at=datetime.now(UTC), reason=reason)
    client = browse(house.shop.ada)
    at_length = text_of(client, f"/live/{rid}/")
    assert words in at_length
    assert step in at_length
    assert "Ask for this" not in at_length
    assert words in text_of(client, "/live/", rid=rid)
    assert client.get(f"/live/{rid}/ask").headers["Location"] == f"/live/{rid}/"


def test_asking_is_offered_only_where_it_helps(house: pages.House, browse: Browse) -> None:
    rid = pages.call(house.shop.ada, at=datetime.now(UTC), reason="guardrail")
    client = browse(house.shop.ada)
    assert f'href="{rid}/ask"' not in text_of(client, "/live/")
    assert client.get(f"/live/{rid}/ask").headers["Location"] == f"/live/{rid}/"


def test_one_call_tells_its_road(house: pages.House, browse: Browse) -> None:
    text = text_of(browse(house.shop.ada), f"/live/{house.rid}/")
    for said in ("Denied: Nobody has opened this to you.", "Edge: refused", "at edge-1", "/docs/reasons#no_grant"):
        assert said in text


def test_a_call_says_which_version_answered_it_and_by_which_rule(house: pages.House, browse: Browse) -> None:
    said = {"verdict": "allow", "reason": "granted", "variant": "v2", "rules": [house.grant.public_id]}
    rid = pages.call(house.shop.ada, at=datetime.now(UTC), actor="agent:release-bot", **said)
    client = browse(house.shop.ada)
    assert '<span class="tag">v2</span>' in text_of(client, "/live/", rid=rid)
    text = " ".join(text_of(client, f"/live/{rid}/").split())
    rule = f'<a class="mono" href="/access/{house.grant.public_id}/">{house.grant.public_id}</a>'
    assert f"By traffic rule {rule} for v2." in text
    assert "acted for by" in text
    found = client.get("/api/v1/calls/", {"rid": rid}).json()["results"][0]["edge"]
    assert (found["variant"], found["rules"], found["actor"]) == ("v2", [house.grant.public_id], "agent:release-bot")


def test_a_rule_of_a_name_that_is_none_is_shown_without_a_link(house: pages.House, browse: Browse) -> None:
    rid = pages.call(house.shop.ada, at=datetime.now(UTC), verdict="allow", reason="granted", rules=["a/b c"])
    assert '<span class="mono">a/b c</span>' in text_of(browse(house.shop.ada), f"/live/{rid}/")


def test_the_page_listens_on_its_first_page_only(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    assert 'data-live="/live/stream"' in text_of(client, "/live/")
    assert "data-live" not in text_of(client, "/live/", after="1.1")


# rollout


def test_the_rollout_says_whether_every_door_is_right(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.ada)
    assert "Not every door holds what it should yet" in text_of(client, "/rollout/")
    Drift.objects.update(resolved_at=datetime.now(UTC))
    assert "Every door holds what it should" in text_of(client, "/rollout/")


def test_the_rollout_leads_nobody_to_a_page_that_turns_them_away(house: pages.House, browse: Browse) -> None:
    seen = {who.name: text_of(browse(who), "/rollout/") for who in (house.shop.ada, house.shop.cyd)}
    assert [name for name, text in seen.items() if 'href="/rollout/mesh/"' in text] == ["Cyd"]
    assert [name for name, text in seen.items() if "Shop mesh" in text] == ["Ada", "Cyd"]
    refused = browse(house.shop.ada).get("/rollout/mesh/")
    assert refused.status_code == 403
    assert "people with the role operator, security, auditor or administrator." in refused.content.decode()


def test_what_differs_moves_by_itself_with_its_title(house: pages.House, browse: Browse) -> None:
    client = browse(house.olga)
    assert 'data-live="/rollout/mesh/events?seen=' in text_of(client, "/rollout/mesh/drift/")
    part = client.get("/rollout/mesh/drift/", headers={"HX-Request": "true", "HX-Target": "moving"}).content.decode()
    assert part.lstrip().startswith('<div class="stack-l" id="moving"')
    assert '<h1 id="title" hx-swap-oob="true">1 thing at Shop mesh is not as' in part


def test_a_target_shows_what_differs_what_is_there_and_how_it_came(house: pages.House, browse: Browse) -> None:
    text = text_of(browse(house.olga), "/rollout/mesh/")
    for said in (
        "Shop mesh holds something it should not",
        'href="/rollout/mesh/drift/"',
        "Ada may read.",
        "Published.",
    ):
        assert said in text
    shown = text_of(browse(house.olga), "/rollout/mesh/drift/")
    for said in ("1 thing at Shop mesh is not as it should be", "node/a", "Should be:"):
        assert said in shown


def test_a_failing_target_says_so(house: pages.House, browse: Browse) -> None:
    Target.objects.update(error="No node is online.")
    assert "No node is online. We keep trying." in " ".join(text_of(browse(house.olga), "/rollout/mesh/").split())


def test_a_revision_shows_words_bytes_and_proof(house: pages.House, browse: Browse) -> None:
    text = text_of(browse(house.olga), "/rollout/mesh/revisions/1/")
    for said in ("Revision 1 of Shop mesh", "In words", "In bytes", house.revision.digest):
        assert said in text


@pytest.mark.parametrize(
    "path", ["/rollout/none/", "/rollout/mesh/revisions/99/", "/rollout/mesh/revisions/99999999999/"]
)
def test_what_is_not_there_is_hidden(house: pages.House, browse: Browse, path: str) -> None:
    assert browse(house.olga).get(path).status_code == 404


def test_looking_says_what_was_found(house: pages.House, browse: Browse) -> None:
    client = browse(house.olga)
    client.post("/rollout/mesh/look")
    assert "It holds exactly what it should." in text_of(client, "/rollout/mesh/")


# the record


def test_readers_see_all_and_others_their_own(house: pages.House, browse: Browse) -> None:
    assert "Everything that was done" in text_of(browse(house.shop.cyd), "/audit/")
    own = text_of(browse(house.shop.ada), "/audit/")
    assert "What you did" in own
    assert "identity.subject" not in own
    assert "access.request.opened" in own


def test_the_record_is_filtered_by_the_address(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.cyd)
    by_action = text_of(client, "/audit/", action="access.request")
    assert "identity.subject.created" not in by_action
    about = text_of(client, "/audit/", target=f"access.request:{house.asked.public_id}")
    assert about.count("access.request.opened") == 1
    assert "Nothing like that was done" in text_of(client, "/audit/", since="2999-01-01")
    assert "Write dates as 2026-11-23." in text_of(client, "/audit/", since="yesterday")


def test_an_event_shows_before_and_after(house: pages.House, browse: Browse) -> None:
    seq = Event.objects.get(action="access.request.opened", target_id=house.asked.public_id).seq
    text = text_of(browse(house.shop.cyd), f"/audit/{seq}/")
    assert "A customer waits for the money." in text
    assert f"/requests/{house.asked.public_id}/" in text


@pytest.mark.django_db(transaction=True)
def test_tampering_is_found_and_named(browse: Browse) -> None:
    client = browse(pages.house().shop.cyd)
    assert "Each vouches for the one before it." in client.post("/audit/verify", follow=True).content.decode()
    client.post("/audit/tamper")
    found = client.post("/audit/verify")
    assert found.headers["Location"].startswith("/audit/?bad=")
    bad = found.headers["Location"].partition("=")[2]
    assert f"Row {bad} is not what was written" in text_of(client, found.headers["Location"])
    client.post("/audit/tamper", {"mend": "1"})
    assert client.post("/audit/verify").headers["Location"] == "/audit/"


def test_there_is_no_tampering_outside_the_demo(house: pages.House, browse: Browse, settings: object) -> None:
    settings.SALLYPORT_DEMO = False  # type: ignore[attr-defined]  # pytest-django's settings
    client = browse(house.shop.cyd)
    assert client.post("/audit/tamper").status_code == 404
    assert "Tamper" not in text_of(client, "/audit/")


def test_the_record_leaves_as_ndjson_and_csv(house: pages.House, browse: Browse) -> None:
    client = browse(house.shop.cyd)
    lines = client.get("/audit/export.ndjson").getvalue().decode().splitlines()  # type: ignore[attr-defined]  # streamed
    assert len(lines) == Event.objects.count()
    assert json.loads(lines[0])["seq"] == 1
    sheet = client.get("/audit/export.csv", {"action": "access.request"}).getvalue().decode()  # type: ignore[attr-defined]  # streamed
    assert sheet.startswith("seq,at,actor_id")
    assert "identity.subject" not in sheet
    assert client.get("/audit/export.xml").status_code == 404


def test_an_export_holds_only_what_its_reader_may_see(house: pages.House, browse: Browse) -> None:
    lines = browse(house.shop.ada).get("/audit/export.ndjson").getvalue().decode().splitlines()  # type: ignore[attr-defined]  # streamed
    assert {json.loads(line)["actor_id"] for line in lines} == {"person:ada"}


# the outbox


def test_a_given_up_message_is_shown_and_retried(house: pages.House, browse: Browse) -> None:
    client = browse(house.olga)
    assert "1 message was given up" in " ".join(text_of(client, "/settings/outbox/").split())
    client.post(f"/settings/outbox/{house.dead.pk}/retry")
    assert Message.objects.get(pk=house.dead.pk).state == "pending"


def test_a_log_shipper_whose_token_leaked_is_not_believed_any_more(house: pages.House, browse: Browse) -> None:
    client = browse(house.olga)
    services.register_source(name="node-1/a", points=["sidecar"], actor=SYSTEM, at=datetime.now(UTC))
    assert 'aria-label="Revoke node-1/a"' in text_of(client, "/settings/log-shippers/")
    assert client.post("/settings/log-shippers/revoke", {"name": "nobody"}).status_code == 404
    answer = client.post("/settings/log-shippers/revoke", {"name": "node-1/a"})
    assert (answer.status_code, answer["Location"]) == (302, "/settings/log-shippers/")
    assert 'aria-label="Revoke node-1/a"' not in text_of(client, "/settings/log-shippers/")
    assert Event.objects.get(action="telemetry.source.revoked").actor_id == "person:olga"
