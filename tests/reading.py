"""Pages as they read: how a template is broken into lines is nobody's business."""

from __future__ import annotations

import re

from django.http import HttpResponseBase
from django.test import Client

from console.lean_templates import BLOCKS

BLOCK = re.compile(rf"\s*(</?(?:{'|'.join(BLOCKS.split())})\b[^<>]*>)\s*")


def text_of(client: Client, path: str, **query: str) -> str:
    answer = client.get(path, query)
    assert answer.status_code == 200
    return words_of(answer)


def words_of(answer: HttpResponseBase) -> str:
    """One space wherever there is white space, and none beside what begins a line of its own."""
    return BLOCK.sub(r"\1", re.sub(r"\s+", " ", answer.content.decode()))  # type: ignore[attr-defined]
