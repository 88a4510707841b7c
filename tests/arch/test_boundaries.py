"""Who may know whom. Import contracts see imports; these see relations, models and names too."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from django.apps import apps
from django.db import models

from apps.outbox import registry
from console.celery import app as celery_app
from tests.arch.source import OURS, ROOT, STANDALONE, modules, runtime_imports

LAYERS = ["audit", "outbox", "identity", "catalog", "access", "rollout", "telemetry", "firewall"]
LAYER = {label: number for number, label in enumerate(LAYERS)} | {"trust": LAYERS.index("access")}
JUNK = {"core", "common", "utils", "util", "helpers", "helper", "misc", "extras", "shared", "lib"}


def test_imports_keep_the_contracts() -> None:
    lint = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr
    assert "0 broken" in lint.stdout


def test_every_app_with_models_has_a_layer() -> None:
    ours = {config.label for config in apps.get_app_configs() if config.name.startswith("apps.")}
    assert ours == set(LAYER)


def test_relations_point_down() -> None:
    upward = [
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models()
        if model._meta.app_label in LAYER
        for field in model._meta.get_fields()
        if field.is_relation and not field.auto_created and field.related_model
        if LAYER.get(field.related_model._meta.app_label, -1) > LAYER[model._meta.app_label]
    ]
    assert upward == []


def test_access_and_trust_have_no_relation() -> None:
    across = [
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if field.is_relation
        and field.related_model
        and {model._meta.app_label, field.related_model._meta.app_label} == {"access", "trust"}
    ]
    assert across == []


def test_models_are_private() -> None:
    """Only choices (codes and their labels) are for everybody, and names for type hints; rows are not."""
    trespasses = [
        module.at(node)
        for module in modules("apps", "console", "deploy")
        for node, source, name in runtime_imports(module)
        if (owner := _owner_of_models(source, name)) and owner != module.app and not _is_choices(source, name)
    ]
    assert trespasses == []


def _owner_of_models(source: str, name: str) -> str:
    parts = [*source.split("."), name]
    return parts[1] if parts[0] == "apps" and len(parts) > 2 and parts[2] == "models" else ""


def _is_choices(source: str, name: str) -> bool:
    found = getattr(import_module(source), name, None) if name else None
    return isinstance(found, type) and issubclass(found, models.Choices)


def test_nobody_fetches_models_by_name() -> None:
    found = [
        module.at(node)
        for module in modules("apps", "console")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr == "get_model"
    ]
    assert found == []


def test_no_junk_drawers() -> None:
    named = {path for folder in OURS for path in (ROOT / folder).rglob("*") if path.stem in JUNK}
    ours = {path for path in named if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))}
    assert ours == set()


def test_the_pure_and_the_standalone_stay_importable_without_django() -> None:
    """``apps`` and the three packages that need no framework run nothing else when they are imported."""
    for package in ("", "compiler", *sorted(STANDALONE)):
        text = (ROOT / "apps" / package / "__init__.py").read_text()
        assert "import" not in text.replace("from __future__ import annotations", ""), package


def test_a_handled_topic_is_one_its_app_speaks_of() -> None:
    """A handler for a topic nobody enqueues is a spelling mistake."""
    unspoken = [
        topic
        for topic in registry.topics()
        if not any(topic in module.text for module in modules(f"apps/{topic.partition('.')[0]}"))
    ]
    assert unspoken == []
    assert registry.topics(), "no handler at all was discovered"


def test_beat_calls_tasks_that_exist() -> None:
    celery_app.loader.import_default_modules()
    celery_app.finalize()
    schedule = celery_app.conf.beat_schedule
    unknown = {name for name, entry in schedule.items() if entry["task"] not in celery_app.tasks}
    assert unknown == set()
    assert "outbox.sweep" in schedule
