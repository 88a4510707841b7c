"""Our storage keeps every rule that scim2-server sets for one."""

from __future__ import annotations

from datetime import datetime

import pytest
from scim2_models import ScimProvider
from scim2_server.testing import ScimStorageContract

from apps.identity.scim.resources import provider as announced
from apps.identity.scim.storage import OrmStorage
from tests.factories import identity


@pytest.mark.django_db
class TestOrmStorage(ScimStorageContract):
    @pytest.fixture
    def provider(self) -> ScimProvider:
        return announced()

    @pytest.fixture
    def storage(self, at: datetime) -> OrmStorage:
        return OrmStorage(identity.directory(), at=at)
