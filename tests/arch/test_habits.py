"""How we write, where a linter has no rule for it."""

from __future__ import annotations

import ast
from collections import defaultdict
from io import StringIO

import pytest
from django.core.management import call_command

from tests.arch.source import STANDALONE, Module, dotted, functions, modules

LONGEST = 400

# One writer for each machine: nothing else moves a state.
WRITERS = {
    "access": {"apps/access/states.py"},
    "identity": {"apps/identity/services/subjects.py"},
    "outbox": {"apps/outbox/services.py"},
    "rollout": {"apps/rollout/states.py"},
    "trust": {"apps/trust/services.py"},
}


def test_files_are_short() -> None:
    long = {module.name: lines for module in modules() if (lines := len(module.text.splitlines())) > LONGEST}
    assert long == {}


def test_imports_are_at_the_top() -> None:
    hidden = [
        module.at(node)
        for module in modules("apps", "console", "deploy")
        for function in functions(module.tree)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


def test_a_state_has_one_writer() -> None:
    written: defaultdict[str, set[str]] = defaultdict(set)
    for module in modules("apps"):
        if module.app not in STANDALONE and any(_writes_state(node) for node in ast.walk(module.tree)):
            written[module.app].add(module.name)
    beside = {app: names - WRITERS.get(app, set()) for app, names in written.items()}
    assert not any(beside.values()), beside


def _writes_state(node: ast.AST) -> bool:
    if isinstance(node, ast.Assign):
        return any(_is_state(target) for target in node.targets)
    if isinstance(node, ast.AugAssign | ast.AnnAssign):
        return _is_state(node.target)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "update":
        return any(keyword.arg == "state" for keyword in node.keywords)
    return False


def _is_state(target: ast.AST) -> bool:
    if isinstance(target, ast.Tuple):
        return any(_is_state(part) for part in target.elts)
    return isinstance(target, ast.Attribute) and target.attr == "state" and dotted(target.value) != "self"


def _tasks() -> list[tuple[Module, ast.FunctionDef | ast.AsyncFunctionDef]]:
    return [
        (module, function)
        for module in modules("apps", "console")
        for function in functions(module.tree)
        if any("shared_task" in ast.dump(decorator) for decorator in function.decorator_list)
    ]


def test_tasks_take_keywords_and_survive_a_newer_caller() -> None:
    loose = [
        module.at(task)
        for module, task in _tasks()
        if task.args.args or task.args.posonlyargs or task.args.vararg or task.args.kwarg is None
    ]
    assert loose == []
    assert _tasks(), "no task was found"


def test_tasks_live_in_tasks_modules_and_say_how_long_they_may_run() -> None:
    elsewhere = [module.at(task) for module, task in _tasks() if module.path.name != "tasks.py"]
    endless = [
        module.at(task)
        for module, task in _tasks()
        if not any(
            keyword.arg == "time_limit"
            for decorator in task.decorator_list
            if isinstance(decorator, ast.Call)
            for keyword in decorator.keywords
        )
    ]
    assert (elsewhere, endless) == ([], [])


def test_services_publish_no_task_themselves() -> None:
    """Side effects leave through the outbox; only it, and a task that hands on its own work, speaks to the broker."""
    publishers = {
        module.name
        for module in modules("apps")
        if module.app not in STANDALONE and module.path.name not in {"tasks.py", "handlers.py"}
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr in {"delay", "apply_async", "send_task", "delay_on_commit"}
    }
    assert publishers <= {"apps/outbox/services.py"}


def test_migrations_import_no_code_of_ours() -> None:
    found = [
        module.at(node)
        for module in modules("apps", migrations=True)
        if "migrations" in module.path.parts
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("apps."))
        or (isinstance(node, ast.Import) and any(alias.name.startswith("apps.") for alias in node.names))
    ]
    assert found == []


@pytest.mark.django_db
def test_migrations_hold_what_the_models_say() -> None:
    out = StringIO()
    call_command("makemigrations", check=True, dry_run=True, stdout=out)
    assert out.getvalue() == "No changes detected\n"


CLOCKS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time"}
CLOCKLESS = {"models.py", "services.py", "selectors.py", "policies.py", "handlers.py"}


def test_nothing_reads_the_clock_but_interfaces() -> None:
    """ruff bans Django's clock; this bans the standard library's where things are decided and written."""
    found = [
        module.at(node)
        for module in modules("apps")
        if module.app not in STANDALONE and (module.path.name in CLOCKLESS or "services" in module.path.parts)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and dotted(node.func) in CLOCKS
    ]
    assert found == []


def test_whoever_passes_an_answer_on_says_how_fresh_its_sign_in_is() -> None:
    """Left out, it would mean an API token: an old session could approve for a sensitive service."""
    silent = [
        module.at(node)
        for module in modules("apps", "console")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and dotted(node.func) in {"services.review", "services.review_many"}
        if not any(keyword.arg == "freshness" for keyword in node.keywords)
    ]
    assert silent == []
