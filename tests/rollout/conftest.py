from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.localedge.origin import OriginServer, serving
from tests.localedge.pki import EDGE_ID, LOOPBACK, ORIGIN_ID, Authority, dns, uri
from tests.localedge.standin import StandIn


@pytest.fixture(scope="session")
def test_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def test_origin(test_authority: Authority) -> Iterator[OriginServer]:
    cert, key = test_authority.issue("origin", [uri(ORIGIN_ID), dns("api.shop.localhost"), LOOPBACK])
    with serving(test_authority.ca, cert, key) as server:
        yield server


@pytest.fixture
def standin(tmp_path: Path, test_authority: Authority, test_origin: OriginServer) -> Iterator[StandIn]:
    """A local edge of its own, really running."""
    cert, key = test_authority.issue("edge", [uri(EDGE_ID)])
    settings = {
        "origin": test_origin.url,
        "origin_ca": str(test_authority.ca),
        "origin_cert": str(cert),
        "origin_key": str(key),
        "activation_delay": {"STAGING": 0.05, "PRODUCTION": 0.05},
    }
    made = StandIn(tmp_path / "standin", settings)
    made.start()
    yield made
    made.stop_if_running()
