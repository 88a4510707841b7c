"""A week of an Akamai account in minutes: grants come and go, code changes, and everything that goes wrong does.

It runs against a really running local edge with small limits, which counts every call and refuses what is too much.
Everything is driven by the same services the workers use; when something failed, an operator presses Try now.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field

from django.urls import reverse
from django.utils.html import escape

from apps.access import services as access
from apps.access.models import Grant
from apps.audit.actors import SYSTEM
from apps.identity.models import Subject
from apps.rollout.drivers.akamai_errors import CATALOGUE, Does
from apps.rollout.models import Drift, EdgeMove, Target
from apps.rollout.services import drifting, releasing
from apps.trust import services as trust
from apps.trust.models import Purpose, SigningKey
from tests.factories import access as factory
from tests.factories import identity as people
from tests.factories.pages import signed_in
from tests.localedge.standin import StandIn
from tests.rollout.world import Hands, doors, edge_spec, grant_to, make_target, now

LIMITS = {"activations_per_minute": 4, "versions_per_minute": 3}
HITS = 40
FAILING_SHARE = 0.05
LIVE = ("pending", "active")
UNSETTLED = frozenset({"waiting", "open", "failing", "opening", "closing"})


@dataclass
class Tally:
    """What came of it. ``words``: of each trouble, what its page said; ``unexplained`` should stay empty."""

    changes: int = 0
    versions: int = 0
    failed_activations: int = 0
    drifts: int = 0
    waits: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    words: dict[str, str] = field(default_factory=dict)
    unexplained: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    refused: int = 0
    seconds: float = 0.0


class Week:
    """``changes`` grants made or ended, ``versions`` of the code, in an order that depends on ``seed`` only."""

    def __init__(self, standin: StandIn, *, changes: int, versions: int, seed: int = 1, patience: float = 180) -> None:
        self.standin, self.hands, self.tally = standin, Hands(), Tally()
        self.random, self.patience = random.Random(seed), patience
        self.shop = factory.shop()
        self.client = signed_in(people.person("olga", roles=("operator",)))
        self.holders = [people.person(f"worker-{number}") for number in range(max(changes // 8, 4))]
        self.open: dict[str, Grant] = {}
        self.plan = self._plan(changes, versions)

    def _plan(self, changes: int, versions: int) -> list[str]:
        """What happens, in turn; trouble is spread over it."""
        plan = ["change"] * changes
        trouble = ["throttled items", "throttled code", "drift", "drift", "expired token", "expired", "revoked", "cut"]
        for number, what in enumerate([*["code"] * versions, *trouble]):
            plan.insert(self.random.randrange(len(plan) + 1) if number else 0, what)
        return plan

    def run(self) -> Tally:
        began = time.monotonic()
        spec = edge_spec(self.standin.control, f"http://127.0.0.1:{self.standin.ports['data']}")
        spec.config["edgekv_hits_per_second"] = HITS  # type: ignore[index]  # a dict in the factory
        make_target(spec)
        self.settle()
        self.standin.faults(edgekv_hits_per_second=HITS)
        for what in self.plan:
            self.happen(what)
        self.settle()
        self.tally.lost = self.lost()
        self.tally.refused = self.refused()
        self.tally.failed_activations = EdgeMove.objects.filter(status__in=["ERROR", "ABORTED", "EXPIRED"]).count()
        self.tally.drifts = Drift.objects.exclude(resolved_at=None).count()
        self.tally.versions = EdgeMove.objects.filter(network="PRODUCTION", status="COMPLETE").count()
        self.tally.seconds = time.monotonic() - began
        return self.tally

    # -- what happens ----------------------------------------------------------------------------------------------
    def happen(self, what: str) -> None:
        if what == "change":
            self.change()
        elif what == "code":
            self.new_code()
        elif what == "drift":
            self.drift()
        elif what == "expired token":
            self.go_wrong({"validation_errors": ["ACCESS_TOKEN_EXPIRED"]}, code=True)
        else:
            self.go_wrong({"rules": [RULES[what]]}, code="code" in what or what == "cut")

    def change(self) -> None:
        free = [one for one in self.holders if one.key not in self.open]
        if free and (not self.open or self.random.random() < 0.6):
            holder: Subject = self.random.choice(free)
            self.open[holder.key] = grant_to(holder, self.shop.ben)
        else:
            grant = self.open.pop(self.random.choice(sorted(self.open)))
            access.end_grant(public_id=grant.public_id, actor=self.shop.ben, at=now(), why="done")
        self.tally.changes += 1
        self.work()

    def new_code(self) -> None:
        """A signing key turns over. One activation in twenty fails, and the first one surely."""
        moves = EdgeMove.objects.count()
        failing = moves < 4 or self.random.random() < 2 * FAILING_SHARE
        self.faults(activation_results=[self.random.choice(["ERROR", "ABORTED", "EXPIRED"])] if failing else [])
        long_ago = now() - trust.LIFETIME[Purpose.BUNDLE]
        SigningKey.objects.filter(state__in=["active", "next"]).update(changed_at=long_ago, created_at=long_ago)
        assert trust.rotate_due(at=now()) > 0
        self.settle()

    def drift(self) -> None:
        self.settle()
        self.standin.item("PUT", "payments", '{"v":1,"everybody":"welcome"}')
        assert drifting.observe(slug="edge", at=now()) == 1
        drifting.put_back(drift_id=Drift.objects.get(resolved_at=None).pk, actor=SYSTEM, at=now())
        self.settle()
        assert drifting.observe(slug="edge", at=now()) == 0

    def go_wrong(self, faults: dict[str, object], *, code: bool) -> None:
        """Something is broken until it was shown on the page; then it is mended."""
        self.settle()
        before = sum(self.tally.troubles.values())
        self.faults(**faults)
        self.new_key() if code else self.change()
        deadline = time.monotonic() + self.patience
        while sum(self.tally.troubles.values()) == before and time.monotonic() < deadline:
            self.work()
        self.faults()
        self.settle()

    def new_key(self) -> None:
        long_ago = now() - trust.LIFETIME[Purpose.BUNDLE]
        SigningKey.objects.filter(state__in=["active", "next"]).update(changed_at=long_ago, created_at=long_ago)
        assert trust.rotate_due(at=now()) > 0

    def faults(self, **faults: object) -> None:
        self.standin.faults(edgekv_hits_per_second=HITS, **faults)

    # -- the workers and the operator ------------------------------------------------------------------------------
    def work(self) -> Target:
        self.hands.work("edge")
        target = Target.objects.get()
        if target.error:
            self.read_page(target)
        elif "used up" in target.waiting_for:
            self.tally.waits[target.waiting_for.partition(":")[0]] += 1
        return target

    def read_page(self, target: Target) -> None:
        """Whatever went wrong is there in words; an operator presses Try now, but waits where a limit was met."""
        self.tally.troubles[target.trouble or "unnamed"] += 1
        page = self.client.get(reverse("target", args=["edge"]), headers={"host": "localhost"}).content.decode()
        trouble = CATALOGUE.get(target.trouble)
        if trouble is None or escape(trouble.what) not in page or escape(trouble.now) not in page:
            self.tally.unexplained.append(target.error)
            return
        self.tally.words[trouble.code] = trouble.sentence
        if trouble.does != Does.WAIT:
            releasing.try_again(slug="edge", actor=SYSTEM, at=now())

    def settle(self) -> None:
        """Until the newest revision is in force and no door is on its way."""
        deadline = time.monotonic() + self.patience
        while True:
            target = self.work()
            if target.active_number == target.latest_number > 0 and not self.lost():
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"{target.error} {target.waiting_for} {self.lost()}")
            time.sleep(0.05)

    def lost(self) -> list[str]:
        """Grants whose door is not where it should be."""
        rows = Grant.objects.prefetch_related("doors").exclude(doors__state__in=["proven"], state="active")
        wrong = []
        for grant in rows.exclude(doors__state="closed"):
            found = doors(grant).get("edge")
            if found != ("proven" if grant.state in LIVE else "closed"):
                wrong.append(f"{grant.public_id} is {grant.state}, its door {found}")
        return wrong

    def refused(self) -> int:
        answer = self.standin.http.get(f"{self.standin.control}/__localedge/faults", timeout=10)
        return int(answer.json()["refused"])


_ITEMS, _CODE = "/edgekv/.*/items/.*", "/edgeworkers/.*/(versions|activations)"
RULES: dict[str, dict[str, object]] = {
    "throttled items": {
        "method": "PUT", "path": _ITEMS, "error": "EKV_9100", "times": 3, "headers": {"Retry-After": "1"},
    },
    "throttled code": {
        "method": "POST", "path": _CODE, "error": "EW3101", "times": 2, "headers": {"Retry-After": "2"},
    },
    "expired": {"path": "/edge.*", "error": "credential_expired", "times": 10_000},
    "revoked": {"path": "/edge.*", "error": "credential_refused", "times": 10_000},
    "cut": {"method": "GET", "path": ".*/versions", "error": "cut", "times": 1},
}  # fmt: skip
