"""The bytes of every object of the estate, one line each. SALLYPORT_REWRITE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from apps.compiler.emitters.cluster import emit_service
from apps.compiler.graph import AccessGraph
from apps.compiler.slices import service_slice
from tests.compiler.cluster.estate import SURROUNDINGS, emitted
from tests.compiler.estate import estate

GOLDEN = Path(__file__).parent / "golden"
SCRIPTS = "sallyport/configmaps.core/sp-verifier.json"
"""Left out: it is the scripts themselves."""


@pytest.mark.parametrize("emitter", ["smi", "nic", "gateway"])
def test_golden(emitter: str) -> None:
    told = replace(SURROUNDINGS, emitters=frozenset({emitter}))
    lines = [f"{one.path} {one.content.decode()}\n" for one in emitted(estate(), told) if one.path != SCRIPTS]
    content, golden = "".join(sorted(lines)), GOLDEN / f"{emitter}.txt"
    if os.environ.get("SALLYPORT_REWRITE_GOLDEN") == "1":
        golden.write_text(content)
    assert content == golden.read_text()


def test_the_order_of_things_in_a_graph_does_not_matter() -> None:
    graph = estate()
    turned = AccessGraph(
        subjects=dict(reversed(graph.subjects.items())),
        services=dict(reversed(graph.services.items())),
        grants=tuple(reversed(graph.grants)),
        guardrails=tuple(reversed(graph.guardrails)),
    )
    assert emitted(turned) == emitted(graph)


def test_a_slice_compiles_to_the_same_as_the_whole() -> None:
    graph = estate()
    assert emit_service(service_slice(graph, "payments"), "payments", SURROUNDINGS) == emit_service(
        graph, "payments", SURROUNDINGS
    )
