"""The published definitions of SMI, NGINX Service Mesh, NGINX Ingress Controller and NGINX Gateway Fabric, all served.

They are not ours to ship; the tests run where they lie beside the repository.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from apps.localcluster.kinds import Registry
from apps.rollout.drivers.kubernetes.kinds import KINDS
from tests.arch.source import ROOT
from tests.localcluster.cluster import LocalCluster

PUBLISHED = ROOT.parent / "shared" / "specs" / "crds"
FILES = sorted(PUBLISHED.glob("*.yaml"))

pytestmark = pytest.mark.skipif(not FILES, reason="The published definitions do not lie beside this repository")


@cache
def read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
    return found


def test_every_kind_we_write_is_defined_in_the_version_we_write() -> None:
    registry = Registry()
    for file in FILES:
        registry.define(read(file))
    groups = {one.group for one in registry.served()}
    missing = [
        kind.key
        for kind in KINDS.values()
        if kind.group in groups and registry.find(kind.group, kind.version, kind.plural) is None
    ]
    assert missing == []


def test_each_definition_is_taken(cluster: LocalCluster) -> None:
    home = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    cluster.since(25, custom=True)
    for file in FILES:
        found = read(file)
        answer = cluster.apply(f"{home}/{found['metadata']['name']}?dryRun=All", found, force="true")
        assert answer.status_code in (200, 201), answer.text
