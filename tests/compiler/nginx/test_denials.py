"""Whoever is turned away inside: by name, by the age of the token the edge was shown, and only until then."""

from __future__ import annotations

import time
from collections.abc import Sequence

from apps.compiler.graph import Cause, Denial
from tests.compiler.nginx.doors import CART, EDGE, HOST, Doors, token
from tests.meshclient import Answer


def turned_away(doors: Doors, *denials: Denial) -> None:
    doors.denials = denials
    doors.node.reload(doors.artifacts())


def through(doors: Doors, bearer: str, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    with doors.node.client(doors.identities[EDGE]) as client:
        sent = [("Txn-Token", bearer), *headers]
        return client.send("GET", "/payments/v1/7", port=doors.ingress, host=HOST, headers=sent)


def reason(answer: Answer) -> tuple[int, str]:
    return answer.status, "granted" if answer.status == 200 else str(answer.json()["reason"])


def shown(issued: int | None, **changed: object) -> str:
    """A context token for somebody whose edge token was made out at ``issued``."""
    context: dict[str, object] = {"svc": "payments", "gr": ["g-ada"]}
    return token(tctx=context if issued is None else {**context, "iat": issued}, **changed)


def test_the_suspended_are_refused_in_words_and_not_offered_to_ask(own_doors: Doors) -> None:
    assert reason(through(own_doors, shown(None))) == (200, "granted")
    turned_away(own_doors, Denial("person:Ada", Cause.SUSPENDED, int(time.time()) + 300))
    answer = through(own_doors, shown(None))
    assert reason(answer) == (403, "subject_revoked")
    assert "request_url" not in answer.json()
    page = through(own_doors, shown(None), [("Accept", "text/html")]).body.decode()
    assert "was suspended" in page
    assert "Ask for access" not in page


def test_tokens_from_before_are_refused_by_the_age_of_what_the_edge_was_shown(own_doors: Doors) -> None:
    now = int(time.time())
    turned_away(own_doors, Denial("person:Ada", Cause.REVOKED, now + 300, issued_until=now - 10))
    answers = [through(own_doors, shown(issued)) for issued in (now - 10, now - 9, None)]
    assert [reason(one) for one in answers] == [(401, "token_revoked"), (200, "granted"), (200, "granted")]
    old = shown(None, iat=now - 10)
    assert reason(through(own_doors, old)) == (401, "token_revoked"), "an edge that does not say means its own token"


def test_it_ends_by_itself_with_nobody_there_to_take_it_away(own_doors: Doors) -> None:
    until = int(time.time()) + 4
    turned_away(own_doors, Denial("person:Ada", Cause.SUSPENDED, until))
    bearer = shown(None)
    told: list[str] = []
    while time.time() < until + 0.5:
        told.append(reason(through(own_doors, bearer))[1])
        time.sleep(0.05)
    assert list(dict.fromkeys(told)) == ["subject_revoked", "granted"]


def test_whoever_acts_is_turned_away_too_and_told_for_how_long(own_doors: Doors) -> None:
    now = int(time.time())
    turned_away(own_doors, Denial("agent:bot", Cause.BUDGET, now + 3600))
    answer = through(own_doors, shown(None, act={"sub": "agent:bot"}))
    assert reason(answer) == (429, "budget_spent")
    assert 3500 < int(answer.header("Retry-After")) <= 3600


def test_a_workload_shows_no_token_and_is_turned_away_by_name_only(own_doors: Doors) -> None:
    now = int(time.time())
    for denial, wanted in {
        Denial(f"workload:{CART}", Cause.REVOKED, now + 300, issued_until=now + 300): (200, "granted"),
        Denial(f"workload:{CART}", Cause.SUSPENDED, now + 300): (403, "subject_revoked"),
    }.items():
        turned_away(own_doors, denial)
        with own_doors.node.client(own_doors.identities[CART]) as client:
            assert reason(client.send("GET", "/v1/7", port=own_doors.sidecar)) == wanted
