"""The demo's own cluster takes what the demo tells it."""

from __future__ import annotations

import json
from pathlib import Path

from apps.localcluster.config import load_config
from apps.localcluster.service import Service
from console import demo_cluster
from tests.ports import free_port


def test_the_kinds_the_demo_brings_along_are_taken(tmp_path: Path) -> None:
    (tmp_path / "cluster-kinds.yaml").write_text(demo_cluster.definitions(), encoding="utf-8")
    tokens = {"cluster_token": "a" * 20, "cluster_admin_token": "b" * 20}
    told = demo_cluster.configuration(tmp_path, port=free_port(), tokens=tokens)
    (tmp_path / "cluster.json").write_text(json.dumps(told), encoding="utf-8")
    Service(load_config(tmp_path / "cluster.json"))
