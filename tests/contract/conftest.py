from __future__ import annotations

from tests.rollout.conftest import relay, standin, test_authority, test_origin

__all__ = ["relay", "standin", "test_authority", "test_origin"]
