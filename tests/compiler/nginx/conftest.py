from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compiler.nginx.doors import Doors, open_doors
from tests.meshfixtures import builds


@pytest.fixture(scope="module", params=builds(), ids=lambda build: build.name)
def doors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """Shared by the tests of a module, which leave it as they found it."""
    with open_doors(tmp_path_factory.mktemp("mesh"), request.param) as opened:
        yield opened


@pytest.fixture(params=builds(), ids=lambda build: build.name)
def own_doors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """For tests that change the configuration."""
    with open_doors(tmp_path_factory.mktemp("mesh"), request.param) as opened:
        yield opened
