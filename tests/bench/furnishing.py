"""What the newer pages show, on an estate: a firewall request, a rule base, zones, findings, questions, a cluster."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.access.models import StandingPolicy
from apps.access.services.examining import examine_due
from apps.access.services.standing import ensure_watching, open_due_reviews
from apps.audit.actors import SYSTEM
from apps.firewall import services as firewall
from apps.firewall.services import rule_bases
from apps.identity.models import Subject
from apps.rollout.models import Target, TargetArtifact
from apps.rollout.services.targets import TargetSpec, ensure_target
from tests.bench.estate import Size, multiply
from tests.bench.rulebase import written
from tests.bench.targets import NOBODY

LINES, WRITTEN, OBJECTS_OF_A_SERVICE = 10_000, 50, 5
CLUSTER = TargetSpec(
    slug="cluster",
    name="Cluster",
    driver="kubernetes",
    config={"emitters": ["networkpolicy"], "namespaces": ["estate"], "server": NOBODY, "reached": "token"},
    credentials={"token": "bench"},
)


def furnish(size: Size, at: datetime) -> dict[str, str]:
    """The ids of what has a page of its own."""
    engineer, owner = (Subject.objects.get(key=f"person:p{number}") for number in (2, 1))
    _upkeep(at)
    _cluster(size, at)
    for number in range(5):
        values = firewall.ZoneValues(name=f"Zone {number}", services=(f"s{number + 1}",))
        firewall.set_zone(slug=f"zone-{number}", values=values, actor=SYSTEM, at=at)
    lines = [firewall.Written(engineer.key, f"s{1 + number}", path="/things0/7") for number in range(WRITTEN)]
    head = firewall.Head(title="As the ticket says", reason="A customer waits.", duration=3600)
    asked = firewall.draft_request(actor=engineer, head=head, lines=lines, at=at)
    text = written(min(LINES, size.services * 5))
    base = rule_bases.take_rule_base(given=rule_bases.Given("Old firewall", text), actor=owner, at=at)
    rule_bases.read_rule_base(public_id=base.public_id, at=at)
    return {"firewall": asked.public_id, "base": base.public_id}


def _upkeep(at: datetime) -> None:
    """A hundred services examined, and questions about two hundred grants that nobody looked at for a day."""
    ensure_watching(at=at)
    StandingPolicy.objects.update(internal_days=1, open_days=1, sensitive_days=1, critical_days=1)
    examine_due(at=at)
    open_due_reviews(at=at + timedelta(days=2))


def _cluster(size: Size, at: datetime) -> None:
    """With its objects, and every service waiting for a yes."""
    target = ensure_target(spec=CLUSTER, actor=SYSTEM, at=at)
    names = [f"s{number}" for number in range(1, size.services + 1)]
    per_service = OBJECTS_OF_A_SERVICE if size.services > 100 else 1
    row = TargetArtifact(target=target, media_type="application/json", sha256="1" * 64, applied_sha256="1" * 64)
    path = "'estate/networkpolicies.networking.k8s.io/sp-' || n || '.json'"
    multiply(row, min(5000, size.services * per_service), path=path, service=f"'s' || 1 + n % {size.services}")
    held = {name: _waiting(name) for name in names}
    Target.objects.filter(pk=target.pk).update(facts={"server_version": "v1.32.1", "held": held})


def _waiting(name: str) -> dict[str, object]:
    policy = f"estate/networkpolicies.networking.k8s.io/sp-{name}.json"
    allowed = [f"workload:spiffe://bench.test/ns/estate/sa/s{number}" for number in range(10)]
    return {"paths": [policy], "sentences": [f"It isolates the pods of {name}."], "allowed": allowed, "more": 0}
