from __future__ import annotations

from tests.rollout.conftest import standin, test_authority, test_origin

__all__ = ["standin", "test_authority", "test_origin"]
