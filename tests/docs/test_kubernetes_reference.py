"""The pages on Kubernetes say what the driver does, call by call and error by error."""

from __future__ import annotations

import re

import pytest

from apps.localcluster.kinds import BUILT_IN
from apps.rollout.drivers.kubernetes import calls as kubernetes_calls
from apps.rollout.drivers.kubernetes import errors as kubernetes_errors
from apps.rollout.drivers.kubernetes.access import VERBS
from apps.rollout.drivers.kubernetes.kinds import KINDS
from tests.arch.source import ROOT

REFERENCE = ROOT / "docs/reference"


@pytest.mark.parametrize(
    ("page", "table"),
    [("kubernetes-calls", kubernetes_calls.table()), ("kubernetes-errors", kubernetes_errors.table())],
)
def test_the_table_is_that_of_the_driver(page: str, table: str) -> None:
    assert table in (REFERENCE / f"{page}.md").read_text()


def test_every_kind_is_listed_in_the_order_in_which_it_is_applied() -> None:
    text = (REFERENCE / "kubernetes-calls.md").read_text()
    listed = re.findall(r"^\| (\d+) \| `([^`]+)` \| `([^`]+)` \|", text, re.MULTILINE)
    assert listed == [(str(kind.rank), kind.kind, kind.api_version) for kind in KINDS.values()]


def test_the_rights_of_the_calls_are_those_of_the_role() -> None:
    named = {verb for one in kubernetes_calls.CALLS for verb in one.right.split(", ")}
    assert named - {kubernetes_calls.EVERYBODY} == set(VERBS)


def test_every_built_in_kind_of_the_local_cluster_is_listed() -> None:
    text = (REFERENCE / "local-cluster.md").read_text()
    assert [one.kind for one in BUILT_IN if f"`{one.kind}`" not in text] == []
