from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.localedge.origin import OriginServer, serving
from tests.localedge.pki import EDGE_ID, LOOPBACK, ORIGIN_ID, Authority, dns, uri
from tests.localedge.standin import StandIn

MakeStandIn = Callable[..., StandIn]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def edge_certificate(authority: Authority) -> tuple[Path, Path]:
    return authority.issue("edge", [uri(EDGE_ID)])


@pytest.fixture(scope="session")
def origin(authority: Authority) -> Iterator[OriginServer]:
    cert, key = authority.issue("origin", [uri(ORIGIN_ID), dns("api.shop.localhost"), LOOPBACK])
    with serving(authority.ca, cert, key) as server:
        yield server


@pytest.fixture
def make_standin(
    tmp_path: Path, authority: Authority, edge_certificate: tuple[Path, Path], origin: OriginServer
) -> Iterator[MakeStandIn]:
    """Starts stand-ins; the first lives in the test's own directory, so that it can be started again."""
    made: list[StandIn] = []

    def make(**settings: object) -> StandIn:
        defaults: dict[str, object] = {
            "origin": origin.url,
            "origin_ca": str(authority.ca),
            "origin_cert": str(edge_certificate[0]),
            "origin_key": str(edge_certificate[1]),
        }
        standin = StandIn(tmp_path / f"standin-{len(made)}", {**defaults, **settings})
        made.append(standin)
        standin.start()
        return standin

    yield make
    for standin in made:
        standin.stop_if_running()


@pytest.fixture(scope="module")
def standin(
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
    edge_certificate: tuple[Path, Path],
    origin: OriginServer,
) -> Iterator[StandIn]:
    """One for the whole module."""
    settings = {
        "origin": origin.url,
        "origin_ca": str(authority.ca),
        "origin_cert": str(edge_certificate[0]),
        "origin_key": str(edge_certificate[1]),
    }
    made = StandIn(tmp_path_factory.mktemp("standin"), settings)
    made.start()
    yield made
    made.stop_if_running()
