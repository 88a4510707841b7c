"""The console may be away, the agent may be killed, NGINX may be killed: what is in force stays in force, and ends."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from apps.meshagent.processes import serving_workers, title
from tests.meshagent.console import FakeConsole
from tests.meshagent.estate import CART, Agent, Mesh, until
from tests.meshclient import Answer
from tests.meshfixtures import Authority


def ask(agent: Agent, mesh: Mesh, authority: Authority) -> Answer:
    with agent.client(authority, CART) as cart:
        return cart.send("GET", "/charges/7", port=mesh.port)


def answers(agent: Agent, mesh: Mesh, authority: Authority) -> bool:
    try:
        return ask(agent, mesh, authority).status == 200
    except OSError:
        return False


def rolled_out(console: FakeConsole, mesh: Mesh, ends_at: int | None = None) -> None:
    console.publish(mesh.artifacts(mesh.grant(ends_at)), 1)
    console.wait_report(revision=1, state="active")


def test_without_a_console_grants_run_on_and_end_on_time(
    agent: Agent, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    ends_at = int(time.time()) + 4
    rolled_out(console, mesh, ends_at)
    console.down()
    assert ask(agent, mesh, authority).status == 200
    until(lambda: time.time() >= ends_at)
    refused = ask(agent, mesh, authority)
    assert (refused.status, refused.json()["reason"]) == (403, "grant_expired")


def test_an_agent_without_a_console_starts_what_it_had(
    agent: Agent, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    rolled_out(console, mesh)
    console.down()
    agent.kill(signal.SIGTERM)
    assert not answers(agent, mesh, authority)
    agent.start()
    until(lambda: answers(agent, mesh, authority))
    console.reports.clear()
    console.up()
    assert console.wait_report(revision=1, state="active")["node"] == "node-1"


def test_a_console_that_comes_back_is_found(agent: Agent, console: FakeConsole, mesh: Mesh) -> None:
    rolled_out(console, mesh)
    console.down()
    time.sleep(0.5)
    console.up()
    console.publish(mesh.artifacts(), 2)
    console.wait_report(revision=2, state="active")


def test_a_killed_agent_leaves_nginx_serving_and_the_next_one_takes_it_over(
    agent: Agent, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    rolled_out(console, mesh)
    master = agent.master()
    agent.kill()
    assert ask(agent, mesh, authority).status == 200
    agent.start()
    until(lambda: "running NGINX" in agent.log())
    console.publish(mesh.artifacts(), 2)
    console.wait_report(revision=2, state="active")
    assert agent.master() == master
    assert ask(agent, mesh, authority).status == 403


def test_nginx_is_started_again_when_it_is_killed(
    agent: Agent, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    rolled_out(console, mesh)
    master = agent.master()
    orphans = serving_workers(master)
    os.kill(master, signal.SIGKILL)
    until(lambda: agent.master() not in (0, master) and answers(agent, mesh, authority))
    assert not any(title(pid) for pid in orphans), "workers of the killed master still serve"


def test_when_both_are_killed_the_next_agent_clears_up_and_serves(
    agent: Agent, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    rolled_out(console, mesh)
    master = agent.master()
    agent.kill()
    os.kill(master, signal.SIGKILL)
    console.down()
    agent.start()
    until(lambda: agent.master() not in (0, master) and answers(agent, mesh, authority))


def test_an_agent_that_ends_in_order_takes_nginx_along(agent: Agent, console: FakeConsole, mesh: Mesh) -> None:
    rolled_out(console, mesh)
    master = agent.master()
    agent.kill(signal.SIGTERM)
    until(lambda: not Path(f"/proc/{master}").exists())


def test_a_damaged_revision_is_fetched_again(
    agent: Agent, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    rolled_out(console, mesh)
    agent.kill(signal.SIGTERM)
    grants = agent.root / "current/services/payments/grants.map"
    grants.write_text(grants.read_text()[:20])
    console.reports.clear()
    agent.start()
    console.wait_report(revision=1, state="active")
    assert ask(agent, mesh, authority).status == 200


@pytest.mark.kill
def test_killed_at_any_moment_the_node_ends_up_as_the_console_wants_it(
    agent: Agent, console: FakeConsole, mesh: Mesh, authority: Authority
) -> None:
    """Every other revision grants. After each kill the node serves one of the two, and soon the newest."""
    rolled_out(console, mesh)
    chance = random.Random(7)
    for revision in range(2, 14):
        opens = revision % 2 == 1
        console.publish(mesh.artifacts(*([mesh.grant()] if opens else [])), revision)
        time.sleep(chance.uniform(0, 0.25))
        agent.kill()
        assert ask(agent, mesh, authority).status in (200, 403)
        agent.start()
        console.wait_report(revision=revision, state="active")
        assert ask(agent, mesh, authority).status == (200 if opens else 403)
