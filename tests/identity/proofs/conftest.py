from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pytest_django import Settings

from apps.trust import services as trust
from tests.identity.proofs.aws import REGION, Aws, running_aws


@pytest.fixture(scope="session")
def moto() -> Iterator[Aws]:
    with running_aws() as started:
        yield started


@pytest.fixture
def aws(moto: Aws, settings: Settings) -> Aws:
    """An AWS the console asks."""
    settings.SALLYPORT_AWS_REGIONS = [REGION, "us-east-1"]
    settings.SALLYPORT_AWS_STS_URL = moto.url
    return moto


@pytest.fixture
def keys(db: None) -> None:
    trust.ensure_keys(at=datetime.now(UTC))
