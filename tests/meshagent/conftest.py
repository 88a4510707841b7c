from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.meshagent.console import FakeConsole
from tests.meshagent.estate import Agent, Mesh
from tests.meshclient import EchoApplication
from tests.meshfixtures import Authority
from tests.ports import free_ports


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    made = Mesh.make()
    with EchoApplication([made.upstream_port]):
        yield made


@pytest.fixture
def console(authority: Authority, mesh: Mesh) -> Iterator[FakeConsole]:
    made = FakeConsole(authority, free_ports(4)[3])
    made.up()
    yield made
    made.down()


@pytest.fixture
def agent(tmp_path: Path, console: FakeConsole) -> Iterator[Agent]:
    with Agent.install(tmp_path, console).running() as running:
        yield running
