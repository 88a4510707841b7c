"""An edge and a mesh to compile for, without anybody there: what a vendor's API would answer is set by hand."""

from __future__ import annotations

from datetime import datetime

from apps.audit.actors import SYSTEM
from apps.rollout.models import Target
from apps.rollout.services import compiling
from apps.rollout.services.targets import TargetSpec, ensure_target

NOBODY = "http://127.0.0.1:1"
INGRESS = "spiffe://bench.test/ns/sallyport/sa/ingress"
EDGE = "spiffe://bench.test/ns/sallyport/sa/edge"
SPECS = (
    TargetSpec(
        slug="edge",
        name="Edge",
        driver="akamai",
        config={"base_url": NOBODY, "probe_url": NOBODY, "group_id": 1, "resource_tier_id": 200},
        credentials={"client_token": "bench", "client_secret": "bench", "access_token": "bench"},
    ),
    TargetSpec(
        slug="mesh",
        name="Mesh",
        driver="nginx",
        config={"ingress_port": 8443, "ingress_workload": INGRESS, "edge_workload": EDGE, "edge": "edge"},
    ),
)  # fmt: skip


def make_targets(at: datetime) -> list[Target]:
    made = [ensure_target(spec=spec, actor=SYSTEM, at=at) for spec in SPECS]
    Target.objects.filter(slug="edge").update(facts={"kv_token_ref": "bench", "edgeworker_id": 1})
    return made


def load(slug: str) -> Target:
    return Target.objects.select_related("environment").get(slug=slug)


def compile_some(at: datetime, *, rounds: int) -> None:
    for spec in SPECS:
        for _ in range(rounds):
            compiling.prepare(target=load(spec.slug), at=at)
