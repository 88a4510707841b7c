"""What Terraform in JSON syntax is made of."""

from __future__ import annotations

from typing import Any

Block = dict[str, Any]

STAGING, PRODUCTION = "staging", "production"
NETWORKS = (STAGING, PRODUCTION)


def literal(text: str) -> str:
    """A string that Terraform takes as it is: in JSON syntax, every string is a template."""
    return text.replace("${", "$${").replace("%{", "%%{")


def as_import(to: str, id_: str) -> Block:
    return {"to": to, "id": id_}
