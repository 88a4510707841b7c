"""The five-minute story through the API alone: denied, asked, approved, proven, used, handed back, checked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.running import Api, Running, wait_until

pytestmark = pytest.mark.e2e


def _ask(api: Api, *, service: str, routes: list[str], **more: Any) -> dict[str, Any]:
    body = {"service": service, "routes": routes, "duration": 3600, "reason": "A customer paid twice.", **more}
    answer = api.post("requests/", body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def _grant_state(api: Api, request_id: str) -> str:
    grant = api.get(f"requests/{request_id}/")["grant"]
    return str(grant["state"]) if grant else ""


def _whole_call(api: Api, rid: str) -> Any:
    found = [call for call in api.get("calls/", rid=rid)["results"] if call["edge"] and call["mesh"]]
    return found[0] if found else None


def test_a_person_is_denied_asks_is_approved_calls_and_hands_back(demo: Running) -> None:
    finn, ben, cyd = demo.api("finn"), demo.in_browser("ben"), demo.in_browser("cyd")
    url = demo.edge("/payments/refunds")

    denied = demo.call("finn", "POST", url, "{}")
    assert denied.status_code == 403
    problem = denied.json()
    assert (problem["reason"], problem["point"]) == ("no_grant", "edge")
    assert "/requests/new?" in problem["request_url"]

    request = _ask(finn, service="payments", routes=["createRefund"])
    assert request["state"] == "pending"
    own = finn.post(f"requests/{request['id']}/review/", {"verdict": "approve"})
    assert own.status_code == 403
    by_token = demo.api("ben").post(f"requests/{request['id']}/review/", {"verdict": "approve"})
    assert (by_token.status_code, by_token.json()["code"]) == (403, "step_up_required")
    assert by_token.json()["approve_url"] == f"{demo.state['console']}/requests/{request['id']}/"
    assert ben.post(f"requests/{request['id']}/review/", {"verdict": "approve"}).status_code == 200
    assert finn.get(f"requests/{request['id']}/")["state"] == "pending", "security must agree too"
    assert cyd.post(f"requests/{request['id']}/review/", {"verdict": "approve"}).status_code == 200

    wait_until(lambda: _grant_state(finn, request["id"]) == "active", what="activation proven at both doors")
    allowed = demo.call("finn", "POST", url, "{}")
    assert allowed.status_code in {200, 201}, allowed.text
    rid = allowed.headers["X-Request-Id"]
    call = wait_until(lambda: _whole_call(finn, rid), seconds=5, what="the call on the live page, with both doors")
    assert (call["subject"], call["edge"]["verdict"], call["mesh"]["verdict"]) == ("person:finn", "allow", "allow")

    grant = finn.get(f"requests/{request['id']}/")["grant"]
    assert finn.post(f"grants/{grant['id']}/end/").status_code == 200
    wait_until(lambda: demo.call("finn", "POST", url, "{}").status_code == 403, seconds=10, what="the refusal")
    closed = wait_until(
        lambda: (
            (doors := finn.get(f"grants/{grant['id']}/")["doors"])
            and all(door["state"] == "closed" for door in doors)
            and doors
        ),
        what="both doors closed",
    )
    assert {door["point"] for door in closed} == {"edge", "mesh"}


def test_an_agent_asks_and_waits_but_never_decides(demo: Running) -> None:
    bot, ada = demo.api("release-bot"), demo.api("ada")
    url = demo.edge("/shipping/quotes")
    assert demo.call("release-bot", "POST", url, "{}").status_code == 403

    request = _ask(bot, service="shipping", routes=["createQuote"])
    other = _ask(ada, service="shipping", routes=["createQuote"])
    refused = bot.post(f"requests/{other['id']}/review/", {"verdict": "approve"})
    assert refused.status_code in {403, 404}
    assert ada.get(f"requests/{other['id']}/")["state"] == "pending"

    approver = demo.api(request["requirements"][0]["waiting"][0]["key"].removeprefix("person:"))
    assert approver.post(f"requests/{request['id']}/review/", {"verdict": "approve"}).status_code == 200
    wait_until(lambda: _grant_state(bot, request["id"]) == "active", what="the agent's activation")
    assert demo.call("release-bot", "POST", url, "{}").status_code in {200, 201}
    assert demo.call("release-bot", "POST", demo.edge("/shipping/shipments"), "{}").status_code == 403


def test_the_audit_chain_verifies_over_the_whole_story(demo: Running) -> None:
    verified = demo.manage("verify_audit")
    assert verified.returncode == 0, verified.stdout + verified.stderr
