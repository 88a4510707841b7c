"""The units of systemd: sound, and shut as far as their processes allow, in systemd's own judgement."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from apps.compiler.emitters.cluster import machine
from apps.compiler.emitters.cluster.calls import Calls, between_machines
from apps.compiler.emitters.cluster.sidecar import Sidecar
from tests.arch.source import ROOT
from tests.compiler import estate
from tests.compiler.cluster.test_beside import CLUSTER

ANALYZE = shutil.which("systemd-analyze")
CONSOLE = ROOT / "deploy/systemd"
TILL = Sidecar("", "mesh", calls=Calls(between_machines([estate.CART], {"cart": "10.20.0.7:9201"})))

pytestmark = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed here")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine as far as systemd looks: the units, and something at the place of each program they start."""
    folder = tmp_path_factory.mktemp("machine")
    for path, text in machine.files(estate.PAYMENTS, CLUSTER, TILL, "till-1").items():
        _put(folder / path.lstrip("/"), text)
    for path in sorted(CONSOLE.iterdir()):
        _put(folder / "etc/systemd/system" / path.name, path.read_text())
    for path in _units(folder):
        for program in re.findall(r"^Exec\w+=(/\S+)", path.read_text(), re.MULTILINE):
            _put(folder / program.lstrip("/"), "#!/bin/sh\n")
            (folder / program.lstrip("/")).chmod(0o755)
    shutil.copytree("/lib/systemd/system", folder / "lib/systemd/system", symlinks=True)
    _put(folder / "etc/passwd", "root:x:0:0::/root:/bin/sh\nsallyport:x:990:990::/:/bin/false\n")
    return folder


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _units(folder: Path) -> list[Path]:
    return sorted((folder / "etc/systemd/system").glob("sallyport*"))


def analyze(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([str(ANALYZE), *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_systemd_finds_nothing_wrong_with_them(root: Path) -> None:
    names = [path.name for path in _units(root)]
    assert len(names) >= 6
    status, said = analyze("verify", f"--root={root}", "--man=no", *names)
    assert (status, [line for line in said.splitlines() if "sallyport" in line]) == (0, [])


def test_it_would_find_something(root: Path) -> None:
    path = root / "etc/systemd/system/odd-one.service"
    _put(path, "[Service]\nExecStart=/nowhere\nNoNewPrivilege=yes\n")
    try:
        _, said = analyze("verify", f"--root={root}", "--man=no", path.name)
    finally:
        path.unlink()
    assert "NoNewPrivilege" in said


MOST = {"sallyport-redirect.service": 2.0}
"""Systemd's measure from 0 (shut) to 10; ours stay below 1.5. What loads the rules needs a right over the network."""


def test_systemd_holds_them_for_shut(root: Path) -> None:
    services = [path for path in _units(root) if path.suffix == ".service"]
    found: dict[str, float] = {}
    for path in services:
        _, said = analyze("security", "--offline=true", f"--root={root}", "--no-pager", path.name)
        overall = re.search(r"exposure level for \S+: ([0-9.]+)", said)
        assert overall is not None, said
        found[path.name] = float(overall[1])
    assert {name: measure for name, measure in found.items() if measure > MOST.get(name, 1.5)} == {}


def test_no_unit_runs_as_root_but_the_one_that_loads_the_rules_and_none_holds_a_secret(root: Path) -> None:
    for path in _units(root):
        text = path.read_text()
        assert not re.search(r"(SECRET_KEY|SECRETS_KEY|DATABASE_URL|TOKEN)=", text), path.name
        if path.suffix == ".service" and path.name != "sallyport-redirect.service":
            assert re.search(r"^(DynamicUser=yes|User=sallyport)$", text, re.MULTILINE), path.name
            assert "CapabilityBoundingSet=\n" in text
