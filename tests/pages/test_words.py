"""The same word for the same thing, and none missing."""

from __future__ import annotations

import pytest

from apps.access.states import DoorState, GrantState, RequestState
from apps.rollout.states import ActivationState
from console.templatetags import sallyport
from console.words import (
    DOOR_STATES,
    STATES,
    Who,
    action_words,
    brief_name,
    door_sentence,
    initials,
    span_words,
    who_of,
)


@pytest.mark.parametrize("states", [RequestState, GrantState, ActivationState])
def test_every_state_has_its_word(states: type[RequestState]) -> None:
    assert [value for value in states.values if value not in STATES] == []


def test_every_door_state_has_its_word_and_its_drawing() -> None:
    assert [value for value in DoorState.values if value not in DOOR_STATES] == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "standing"),
        (0, "no time"),
        (1, "1 second"),
        (900, "15 minutes"),
        (3600, "1 hour"),
        (5400, "1 hour 30 minutes"),
        (28800, "8 hours"),
        (86400, "1 day"),
        (90061, "1 day 1 hour"),
    ],
)
def test_spans_in_words(seconds: float | None, words: str) -> None:
    assert span_words(seconds) == words


@pytest.mark.parametrize(
    ("edge", "mesh", "words"),
    [
        ("proven", "opening", "Edge: open and proven, mesh: opening"),
        ("open", "open", "Both: open"),
        ("allow", "", "Edge: let through"),
        ("", "deny", "Mesh: refused"),
        ("", "", "No door"),
    ],
)
def test_doors_in_words(edge: str, mesh: str, words: str) -> None:
    assert door_sentence(edge, mesh) == words
    assert f"<title>{words}</title>" in sallyport.doors(edge, mesh)


@pytest.mark.parametrize(
    ("name", "kind", "short"),
    [
        ("Ada Okafor", "person", "AO"),
        ("release-bot", "agent", "A"),
        ("spiffe://a/ns/b/sa/cart", "workload", "C"),
        ("", "person", "?"),
    ],
)
def test_marks(name: str, kind: str, short: str) -> None:
    assert initials(name, kind) == short


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("access.request.approved", "Request approved"),
        ("identity.api_token.all_revoked", "API token all revoked"),
        ("identity.subject.suspended", "Subject suspended"),
        ("access.standing.changed", "Standing access changed"),
        ("odd", "Odd"),
        ("", ""),
    ],
)
def test_what_was_done_in_words(action: str, words: str) -> None:
    assert action_words(action) == words


@pytest.mark.parametrize(
    ("milliseconds", "words"), [(0.4, "0 ms"), (375.2, "375 ms"), (999, "999 ms"), (5706.8, "5.7 s")]
)
def test_how_long_a_machine_took(milliseconds: float, words: str) -> None:
    assert sallyport.took(milliseconds) == words


def test_what_a_sentence_names_by_id_is_a_link_in_words() -> None:
    said = "g_2f8b7dd51e654ebd opens <b>; req_124b03cdabf3b589 waits."
    assert sallyport.linked(said) == (
        '<a href="/access/g_2f8b7dd51e654ebd/" title="g_2f8b7dd51e654ebd">This access</a> opens &lt;b&gt;; '
        '<a href="/requests/req_124b03cdabf3b589/" title="req_124b03cdabf3b589">this request</a> waits.'
    )
    assert sallyport.linked("Nothing is named.") == "Nothing is named."


def test_a_diff_says_how_much_of_what_differs() -> None:
    shown = sallyport.raw_diff("--- a\n+++ b\n@@ -1 +1,2 @@\n-one\n+two\n+three", "1", path="services/a")
    assert (shown["path"], shown["added"], shown["removed"]) == ("services/a", 2, 1)
    assert shown["lines"] == [
        ("file", "--- a\n+++ b"),
        ("at", "@@ -1 +1,2 @@"),
        ("del", "-one"),
        ("add", "+two\n+three"),
    ]


def test_names_known_only_by_their_key() -> None:
    assert who_of("person:ada") == Who("person", "ada")
    assert who_of("workload:spiffe://a/ns/b/sa/cart") == Who("workload", "spiffe://a/ns/b/sa/cart")
    assert who_of("") is None
    assert brief_name("spiffe://a/ns/b/sa/cart", "workload") == "cart"


def test_what_is_shown_is_escaped() -> None:
    nasty = Who("person", "<b>x</b>")
    assert "<b>" not in sallyport.who(nasty)
    assert "<b>" not in sallyport.route(["GET"], "/<b>/{id}")
    assert '<span class="param">{id}</span>' in sallyport.path("/a/{id}")
