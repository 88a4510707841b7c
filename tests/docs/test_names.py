"""What pages mention exists as they write it: commands with their options, files, addresses, settings, headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from django.urls import Resolver404, get_resolver, resolve
from drf_spectacular.generators import SchemaGenerator

from console.problems import Nowhere
from console.sections import GROUPS
from tests.arch.source import ROOT, modules
from tests.docs.test_reference import pages

VARIABLE = r"\b((?:SALLYPORT|AKAMAI)_[A-Z0-9_]+)\b"
EXAMPLES = {"SALLYPORT_JWT"}
"""Variables that whoever follows a page makes."""


@cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def usage(name: str) -> str:
    owner = get_commands()[name]
    command = load_command_class(owner, name) if isinstance(owner, str) else owner
    return command.create_parser("manage.py", name).format_help()


def told(page: str) -> Iterator[tuple[str, list[str]]]:
    """Commands with the options that stand behind them, on the same line or on one that goes on."""
    found = re.findall(r"(?<![\w.])manage(?:\.py)? ([a-z]\w+)\b((?:[^`\n|]|(?<=\\)\n)*)", page)
    for name, rest in found:
        if name in get_commands() or f"manage.py {name}" in page:
            yield name, re.findall(r"(?<![\w-])--[a-z][a-z-]+", rest)


def strange_commands(page: str) -> Iterator[str]:
    for name, options in told(page):
        if name not in get_commands():
            yield name
        else:
            yield from (f"{name} {one}" for one in options if not re.search(rf"{one}(?![\w-])", usage(name)))


@cache
def make_targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z-]+):", text(ROOT / "Makefile"), re.MULTILINE))


def strange_files(page: str) -> Iterator[str]:
    for name in re.findall(r"(?<![\w/.-])((?:apps|console|deploy|tests|docs|templates|static)/[\w./-]+)", page):
        if name != "apps/v1" and not (ROOT / name.rstrip(".")).exists():
            yield name
    yield from (
        f"make {one}" for one in re.findall(r"(?:`|^    )make ([a-z-]+)", page, re.M) if one not in make_targets()
    )


@cache
def operations() -> tuple[tuple[re.Pattern[str], frozenset[str]], ...]:
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    return tuple(
        (re.compile(re.sub(r"\\{.+?\\}", "[^/]+", re.escape(path))), frozenset(on)) for path, on in paths.items()
    )


@cache
def methods_of(path: str) -> frozenset[str]:
    return next((on for pattern, on in operations() if pattern.fullmatch(path)), frozenset())


def strange_addresses(page: str) -> Iterator[str]:
    found = re.findall(r"(?:\b(GET|POST|PUT|PATCH|DELETE) )?(?:\$SALLYPORT)?(/(?:api/v1|healthz)/[\w/{}<>:.…-]*)", page)
    for method, path in found:
        plain = re.sub(r"<[^>]+>|\{[^}]+\}|…", "x", path.rstrip(".:").replace("req_…", "x").replace("g_…", "x"))
        if not _resolves(plain) or (method and methods_of(plain) and method.lower() not in methods_of(plain)):
            yield f"{method} {path}".strip()


@cache
def _resolves(path: str) -> bool:
    try:
        return not resolve(path).view_name.endswith(Nowhere.__name__)
    except Resolver404:
        return False


@cache
def variables_known() -> frozenset[str]:
    read = [*(one.text for one in modules()), text(ROOT / "Makefile")]
    return frozenset(re.findall(VARIABLE, "\n".join(read))) | EXAMPLES


def strange_variables(page: str) -> Iterator[str]:
    for name in re.findall(VARIABLE, page):
        if name not in variables_known() and name.removesuffix("_FILE") not in variables_known():
            yield name


PLACES = {label: {said for _, said, _ in named} for label, named in GROUPS}


def strange_places(page: str) -> Iterator[str]:
    """``Settings, Trust, Issuers``: a group of the settings, and one of its sections, however they are marked."""
    for way in re.findall(r"\bSettings\**(?:,| >)\s+\**([A-Z][\w ,>*]+)", re.sub(r"\s+", " ", page)):
        group, *rest = [part.strip() for part in re.split(r"[,>]", way.replace("*", ""))]
        section = rest[0] if rest else ""
        if group not in PLACES:
            if group.split()[0] in ANOTHER_PRODUCTS:
                continue
            yield f"Settings, {group}"
        elif section and not any(section.startswith(one) for one in PLACES[group]):
            yield f"Settings, {group}, {section}"


ANOTHER_PRODUCTS = {"Details", "Edit", "OAuth", "Backchannel"}
"""Identity providers have settings, too."""


@cache
def headings(path: Path) -> frozenset[str]:
    plain = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text(path))
    found = re.findall(r"^#+ (.+)$", plain, re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", one.strip().lower()).replace(" ", "-") for one in found)


def strange_headings(path: Path) -> Iterator[str]:
    for link, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)]+)\)", text(path)):
        target = (path.parent / link).resolve() if link else path
        if target.suffix == ".md" and heading not in headings(target):
            yield f"{link}#{heading}"


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_page_names_is_there(path: Path) -> None:
    page = text(path)
    assert get_resolver().url_patterns
    found = [
        *strange_commands(page),
        *strange_files(page),
        *strange_addresses(page),
        *strange_variables(page),
        *strange_places(page),
        *strange_headings(path),
    ]
    assert found == []


@pytest.mark.parametrize(
    ("stale", "named"),
    [
        ("Run `manage.py grant_everything`.", ["grant_everything"]),
        ("`manage.py relay --twice`", ["relay --twice"]),
        ("See `apps/access/nowhere.py`; `make coffee`.", ["apps/access/nowhere.py", "make coffee"]),
        ("`PATCH /api/v1/requests/`, `GET /api/v1/coffee/`", ["PATCH /api/v1/requests/", "GET /api/v1/coffee/"]),
        ("`SALLYPORT_" + "COFFEE`", ["SALLYPORT_" + "COFFEE"]),
        ("**Settings, Coffee**; Settings, Trust, **Rules**", ["Settings, Coffee", "Settings, Trust, Rules"]),
    ],
)
def test_what_is_not_there_would_be_found(stale: str, named: list[str]) -> None:
    looks = (strange_commands, strange_files, strange_addresses, strange_variables, strange_places)
    assert [one for look in looks for one in look(stale)] == named
