"""The compiler needs nothing but Python, reads no clock, and stays small."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import apps.compiler

ROOT = Path(apps.compiler.__file__).parent
CHANCE_AND_MACHINE = {"time", "random", "secrets", "os", "uuid", "socket", "subprocess", "pathlib", "platform"}
CLOCKS = {"now", "utcnow", "today"}


def imported(source: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_only_the_standard_library_is_imported() -> None:
    outside = {
        (source.name, name)
        for source in ROOT.rglob("*.py")
        for name in imported(source)
        if name.partition(".")[0] not in sys.stdlib_module_names and not name.startswith("apps.compiler")
    }
    assert outside == set()


def attributes(source: Path) -> set[str]:
    return {node.attr for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Attribute)}


def test_no_clock_no_chance_no_machine() -> None:
    sources = list(ROOT.rglob("*.py"))
    assert {(source.name, name) for source in sources for name in imported(source) & CHANCE_AND_MACHINE} == set()
    assert {(source.name, name) for source in sources for name in attributes(source) & CLOCKS} == set()


def test_files_stay_within_400_lines() -> None:
    long = [
        source.name
        for pattern in ("*.py", "*.js")
        for source in ROOT.rglob(pattern)
        if len(source.read_text().splitlines()) > 400
    ]
    assert long == []
