"""What lies beside every export. It names no revision, so that it does not change with one."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).with_suffix(".md").read_bytes()
