from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.localedge.origin import OriginServer, serving
from tests.localedge.pki import EDGE_ID, LOOPBACK, ORIGIN_ID, Authority, dns, uri
from tests.localedge.standin import CREDENTIAL, Relay, StandIn
from tests.ports import free_ports


@pytest.fixture(scope="session")
def test_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def test_origin(test_authority: Authority) -> Iterator[OriginServer]:
    cert, key = test_authority.issue("origin", [uri(ORIGIN_ID), dns("api.shop.localhost"), LOOPBACK])
    with serving(test_authority.ca, cert, key) as server:
        yield server


def make_local_edge(directory: Path, authority: Authority, origin: OriginServer, **more: object) -> StandIn:
    """A local edge of its own, not started yet; ``more`` goes into its configuration."""
    cert, key = authority.issue("edge", [uri(EDGE_ID)])
    made = StandIn(directory / "standin", {})
    made.ports = dict(zip(("control", "data", "data_staging"), free_ports(3), strict=True))
    made.control = f"http://127.0.0.1:{made.ports['control']}"
    settings = {
        **{name: f"127.0.0.1:{port}" for name, port in made.ports.items()},
        "state_dir": str(made.directory / "state"),
        "credentials": [CREDENTIAL],
        "activation_delay": {"STAGING": 0.05, "PRODUCTION": 0.05},
        "activations_per_minute": 1000,
        "activations_per_day": 10_000,
        "versions_per_minute": 1000,
        "log_file": str(made.log_file),
        "stream_pace": 0.01,
        "origin": origin.url,
        "origin_ca": str(authority.ca),
        "origin_cert": str(cert),
        "origin_key": str(key),
        **more,
    }
    (made.directory / "config.json").write_text(json.dumps(settings))
    return made


@pytest.fixture(scope="session")
def relay(
    tmp_path_factory: pytest.TempPathFactory, test_authority: Authority, test_origin: OriginServer
) -> Iterator[Relay]:
    relay = Relay(lambda: make_local_edge(tmp_path_factory.mktemp("edge"), test_authority, test_origin))
    yield relay
    relay.end()


@pytest.fixture
def standin(relay: Relay) -> Iterator[StandIn]:
    """A local edge of its own, really running."""
    made = relay.take()
    yield made
    relay.leave(made)
