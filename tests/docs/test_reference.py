"""The reference pages name everything there is, and nothing that is not."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from drf_spectacular.generators import SchemaGenerator

from apps.access.states import RequestState
from apps.compiler import lint
from apps.compiler.reasons import TEXTS
from apps.firewall.rulebase import findings
from apps.identity.providers.presets import GUIDES
from apps.outbox import registry
from apps.rollout.drivers.akamai.calls import CALLS
from apps.rollout.drivers.akamai.errors import CATALOGUE
from console.errors_api import codes
from console.urls import urlpatterns
from deploy.demo.places import MESH_BASE_VARIABLE, PORTS
from tests.arch.source import ROOT, STANDALONE, modules

DOCS = ROOT / "docs"
TOPIC = re.compile(r'(?:topic=|^[A-Z_]+ = )"([a-z]+\.[a-z_]+\.[a-z_]+)"', re.MULTILINE)


@cache
def page(name: str) -> str:
    return (DOCS / "reference" / f"{name}.md").read_text(encoding="utf-8")


def rows(name: str) -> list[list[str]]:
    """The cells of every row whose first cell begins with a code."""
    lines = [line for line in page(name).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def first_codes(name: str) -> set[str]:
    return {row[0].split("`")[1] for row in rows(name)}


def settings_read() -> set[str]:
    """The environment variables the settings read, wherever a reader is called with a name."""
    return {
        str(node.args[0].value)
        for path in (ROOT / "console/settings").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.startswith("read")
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "env"
        if isinstance(node.args[0], ast.Constant)
    }


def test_every_call_and_every_error_of_akamai_is_described_and_none_that_is_not() -> None:
    """The contract tests check the rest of these pages, where Akamai's descriptions are at hand."""
    assert first_codes("akamai-calls") == {call.key for call in CALLS}
    assert first_codes("akamai-errors") == set(CATALOGUE)


def test_every_setting_is_described_and_none_that_is_not_read() -> None:
    demo = {variable for variable, _, _ in PORTS.values()} | {MESH_BASE_VARIABLE, "SALLYPORT_DEMO_STATE"}
    assert len(settings_read()) > 15
    assert first_codes("settings") == settings_read() | demo


@pytest.mark.parametrize(("variable", "default", "what"), PORTS.values())
def test_the_demos_ports_are_as_described(variable: str, default: int, what: str) -> None:
    assert f"| `{variable}` | {default} |" in page("settings"), what


def our_commands() -> dict[str, str]:
    return {name: str(app) for name, app in get_commands().items() if str(app).startswith(("apps.", "console"))}


def shown_commands() -> dict[str, str]:
    return {code.split()[0]: code for code in first_codes("commands")}


def test_every_command_is_described() -> None:
    assert shown_commands().keys() - {"uvicorn", "celery", "python"} == our_commands().keys()


@pytest.mark.parametrize("name", sorted(our_commands()))
def test_a_command_is_shown_with_options_that_it_has(name: str) -> None:
    usage = load_command_class(our_commands()[name], name).create_parser("manage.py", name).format_help()
    assert [option for option in re.findall(r"--[a-z-]+", shown_commands()[name]) if option not in usage] == []


def topics_spoken_of() -> set[str]:
    """Given to ``enqueue``, itself or as a constant beside it; a request's outcomes are its states."""
    speakers = [one.text for one in modules("apps") if one.app not in STANDALONE and "outbox.enqueue(" in one.text]
    named = {topic for text in speakers for topic in TOPIC.findall(text)}
    outcomes = {f"access.request.{state}" for state in RequestState if state != RequestState.PENDING}
    return named | outcomes | {"access.request.opened"} | set(registry.topics())


def test_every_topic_is_described_with_who_handles_it() -> None:
    assert first_codes("topics") == topics_spoken_of()
    unhandled = {row[0].split("`")[1] for row in rows("topics") if row[-1] == "nobody"}
    assert unhandled == topics_spoken_of() - set(registry.topics())


def test_the_reasons_are_word_for_word_those_the_doors_give() -> None:
    given = [f"| `{reason}` | {text.status} | {text.sentence} | {text.next_step} |" for reason, text in TEXTS.items()]
    assert [line for line in page("reasons").splitlines() if line.startswith("| `")] == given


def test_every_finding_is_described_with_grants_and_in_rule_bases() -> None:
    clean = (DOCS / "how-to/keep-rules-clean.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (`.+?) \| (note|warning|error) \|", clean, re.MULTILINE)
    assert {code for cell, _ in listed for code in re.findall(r"`(\w+)`", cell)} == {code.value for code in lint.Code}
    old = (DOCS / "how-to/old-rule-bases.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| ([a-z ]+) \| [^|]+ \| [^|]+ \|$", old, re.MULTILINE)) - {"finding"}
    assert named == {code.value.replace("_", " ") for code in findings.Code}


def test_every_preset_of_a_provider_is_named() -> None:
    [row] = [row for row in rows("commands") if row[0].startswith("`add_provider")]
    assert set(GUIDES) - set(re.findall(r"`(\w+)`", row[-1])) == set()


def test_every_code_of_a_refusal_is_described_with_its_status() -> None:
    assert urlpatterns, "everything that refuses is loaded with the addresses"
    written = dict(re.findall(r"^\| `(\w+)` \| (\d{3}) \|", page("errors"), re.MULTILINE))
    assert written == {one.code: str(one.status) for one in codes().values()}


def test_every_address_of_the_api_is_described_with_its_summary() -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    operations = {
        f"| `{method.upper()}` | `{path.removeprefix('/api/v1')}` | {operation['summary']} |"
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }
    assert {line for line in page("api").splitlines() if re.match(r"\| `[A-Z]+` \|", line)} == operations


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    found = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [link for link in found if not (path.parent / link).exists()] == []


def test_every_page_is_reached_from_the_first() -> None:
    listed = re.findall(r"\]\(([^)#]+)\)", (DOCS / "README.md").read_text(encoding="utf-8"))
    reached = {(DOCS / link).resolve() for link in listed}
    apart = [one for one in DOCS.rglob("*.md") if one.parent.name != "decisions" and one != DOCS / "README.md"]
    assert [str(one.relative_to(DOCS)) for one in apart if one.resolve() not in reached] == []
