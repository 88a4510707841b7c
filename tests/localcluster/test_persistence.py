"""What was answered is kept, whenever the process is killed; and a configuration it cannot use is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.localcluster.config import BadConfig, parse_config
from tests.localcluster.cluster import REPOSITORY, LocalCluster
from tests.localcluster.definitions import DEFINITIONS
from tests.localcluster.manifests import TARGETS, target

PATH = TARGETS.format("shop")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    directory = tmp_path_factory.mktemp("persistence")
    file = directory / "definitions.yaml"
    file.write_text("\n---\n".join(json.dumps(one) for one in DEFINITIONS))
    cluster = LocalCluster(directory / "own", definitions=[str(file)])
    cluster.start()
    yield cluster
    cluster.stop()


def test_objects_owners_and_the_count_of_versions_survive_a_kill(own: LocalCluster) -> None:
    own.apply(f"{PATH}/a", target("shop", "a", "web"), "argocd")
    own.apply(f"{PATH}/b", target("shop", "b", "web"))
    own.call("DELETE", f"{PATH}/b")
    before = own.call("GET", PATH).json()
    own.kill()
    own.start()
    assert own.call("GET", PATH).json() == before
    assert own.apply(f"{PATH}/a", target("shop", "a", "pay"), "other").status_code == 409
    made = own.apply(f"{PATH}/c", target("shop", "c")).json()
    assert int(made["metadata"]["resourceVersion"]) > int(before["metadata"]["resourceVersion"])


def test_a_watch_from_before_the_kill_begins_anew(own: LocalCluster) -> None:
    since = own.call("GET", PATH).json()["metadata"]["resourceVersion"]
    own.apply(f"{PATH}/d", target("shop", "d", "web"))
    own.kill()
    own.start()
    given = {"watch": "true", "resourceVersion": since, "timeoutSeconds": "1"}
    said = json.loads(own.call("GET", PATH, params=given).text)
    assert (said["type"], said["object"]["code"]) == ("ERROR", 410)


NEEDED = {"address": "127.0.0.1:1", "state_dir": "/tmp/x", "tokens": {}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"address": "10.0.0.1:80"}, "of this machine alone"),
        ({"tokens": {"t": {}}}, "user"),
        ({"state_dir": None}, "NoneType"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(BadConfig, match=said):
        parse_config({**NEEDED, **change})


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "apps.localcluster", "--config", str(tmp_path / "none.json")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "localcluster: cannot read" in done.stderr) == (2, True)
