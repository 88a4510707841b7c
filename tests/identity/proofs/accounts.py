"""An AWS account as boto3 tells of it, for whoever needs none that checks permissions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Account:
    """An AWS account with a few roles, as boto3 would tell of it. ``gone`` of them were deleted since."""

    def __init__(self, number: str, names: Sequence[str], *, gone: int = 0) -> None:
        self.number = number
        self.roles = [self._role(index, name) for index, name in enumerate(names)][gone:]

    def _role(self, index: int, name: str) -> dict[str, Any]:
        path = "/" if index % 3 else "/service-role/deployments/"
        return {
            "Path": path,
            "RoleName": name,
            "RoleId": f"AROA{self.number[-4:]}{index:012d}",
            "Arn": f"arn:aws:iam::{self.number}:role{path}{name}",
            "Tags": [{"Key": "team", "Value": "payments"}, {"Key": "cost-centre", "Value": "eu-4711"}][: index % 3],
        }

    def client(self, name: str, **more: Any) -> Account:
        return self

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": self.number}

    def get_paginator(self, name: str) -> Account:
        return self

    def paginate(self, **more: Any) -> list[dict[str, Any]]:
        user = {
            "Path": "/ci/",
            "UserName": "deployer",
            "UserId": f"AIDA{self.number[-4:]}000000000001",
            "Arn": f"arn:aws:iam::{self.number}:user/ci/deployer",
            "Tags": [],
        }
        return [{"RoleDetailList": self.roles, "UserDetailList": [user]}]
