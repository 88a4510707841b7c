"""A week of an Akamai account in minutes: grants come and go, code changes, and everything that goes wrong does.

It runs against a really running local edge with small limits, which counts every call and refuses what is too much.
Everything is driven by the same services the workers use; when something failed, an operator presses Try now. Code is
tried on staging each time; once it is refused there, and once taken back from production.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils.html import escape

from apps.access import services as access
from apps.access.models import Grant
from apps.audit.actors import SYSTEM
from apps.identity.models import Subject
from apps.rollout.drivers.akamai.errors import CATALOGUE, Does
from apps.rollout.models import Drift, EdgeMove, EdgeToken, PropertyChange, Release, Target
from apps.rollout.services import drifting, releasing, undoing, watching
from apps.rollout.services.akamai import edge_tokens
from apps.rollout.services.watched import Counts
from apps.trust import services as trust
from apps.trust.models import Purpose, SigningKey
from tests.factories import access as factory
from tests.factories import identity as people
from tests.factories.pages import signed_in
from tests.localedge.standin import StandIn
from tests.rollout.akamai.code import BROKEN, careful_spec
from tests.rollout.akamai.test_attaching import OLGA, accept, agree, bring
from tests.rollout.akamai.test_attaching import work as follow
from tests.rollout.akamai.test_property_drift import by_hand, fail_open
from tests.rollout.world import Hands, doors, grant_to, make_target, now

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
    alarms: int = 0
    refused_on_staging: int = 0
    taken_back: int = 0
    tokens_renewed: int = 0
    waits: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    words: dict[str, str] = field(default_factory=dict)
    unexplained: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    refused: int = 0
    seconds: float = 0.0


class Week:
    """``changes`` grants made or ended, ``versions`` of the code, in an order that depends on ``seed`` only.

    ``whole``: also what takes long by its nature, a refusal on staging, where wrong answers are asked for again.
    """

    def __init__(
        self,
        standin: StandIn,
        *,
        changes: int,
        versions: int,
        seed: int = 1,
        patience: float = 180,
        whole: bool = True,
    ) -> None:
        self.whole = whole
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
        trouble += ["renewed token", "errors rise", *(["refused on staging", "fail open"] if self.whole else [])]
        for number, what in enumerate([*["code"] * versions, *trouble]):
            plan.insert(self.random.randrange(len(plan) + 1) if number else 0, what)
        return plan

    def run(self) -> Tally:
        began = time.monotonic()
        spec = careful_spec(self.standin)
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
        self.tally.drifts = Drift.objects.filter(path__startswith="services/").exclude(resolved_at=None).count()
        self.tally.alarms = Drift.objects.filter(path__startswith="property/", opens=True).count()
        self.tally.versions = EdgeMove.objects.filter(network="PRODUCTION", status="COMPLETE").count()
        self.tally.seconds = time.monotonic() - began
        return self.tally

    # -- what happens ----------------------------------------------------------------------------------------------
    def happen(self, what: str) -> None:
        own = {
            "change": self.change,
            "code": self.new_code,
            "drift": self.drift,
            "renewed token": self.renew_token,
            "errors rise": self.errors_rise,
            "refused on staging": self.refused_on_staging,
            "fail open": self.fail_open,
        }
        if what in own:
            own[what]()
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

    def renew_token(self) -> None:
        """It ends tomorrow: another is made, and new code with it."""
        self.settle()
        EdgeToken.objects.filter(gone_at=None).update(expires_on=now().date() + timedelta(days=1))
        assert edge_tokens.keep(target=Target.objects.get(), at=now())
        self.settle()
        self.tally.tokens_renewed += 1

    def errors_rise(self) -> None:
        """Many errors after new code: what was before comes back by itself, and then a person goes on."""
        self.new_key()
        self.settle()
        release = self.wait_for(lambda: self.newest() if self.newest().proven_at else None)
        assert watching.heard(release_id=release.pk, before=Counts(400, 4), after=Counts(100, 50), at=now()) == "edge"
        back = self.wait_for(lambda: self.newest() if self.newest().instead_of_id == release.pk else None)
        self.settle()
        release.refresh_from_db()
        self.explained("target_releases", release.words)
        self.tally.taken_back += 1
        assert self.wait_for(lambda: self.newest().proven_at) and back.straight
        undoing.roll_back_code(slug="edge", number=release.number, actor=SYSTEM, at=now())
        self.settle()

    def refused_on_staging(self) -> None:
        """The staging store holds something else; what production runs stays, and grants go on travelling."""
        self.settle()
        right = self.standin.item("GET", "payments", network="staging").text
        self.standin.item("PUT", "payments", BROKEN, network="staging")
        self.new_key()
        refused = self.wait_for(lambda: self.newest() if self.newest().state == "refused" else None)
        assert not EdgeMove.objects.filter(network="PRODUCTION", version=refused.version).exists()
        self.wait_for(lambda: "staging_refused" in self.tally.words)
        self.explained("target_releases", refused.words)
        self.tally.refused_on_staging += 1
        self.standin.item("PUT", "payments", right, network="staging")
        releasing.try_again(slug="edge", actor=SYSTEM, at=now())
        self.settle()

    def fail_open(self) -> None:
        """Somebody has a property let calls through when the code fails: an alarm, put back by a person."""
        self.settle()
        hands = Hands()
        bring(hands)
        by_hand(self.standin, fail_open)
        drifting.observe(slug="edge", at=now(), everything=True)
        drift = Drift.objects.get(resolved_at=None)
        self.explained("home", drift.detail)
        drifting.put_back(drift_id=drift.pk, actor=OLGA, at=now())
        accept(agree(follow(PropertyChange.objects.order_by("-pk")[0], hands), hands), hands)
        assert drifting.observe(slug="edge", at=now(), everything=True) == 0

    def newest(self) -> Release:
        return Release.objects.order_by("-pk")[0]

    def wait_for(self, what: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + self.patience
        while not (found := what()):
            assert time.monotonic() < deadline, "it never came true"
            self.work()
        return found

    def explained(self, name: str, words: str) -> None:
        path = reverse(name, args=["edge"] if name != "home" else [])
        page = self.client.get(path, headers={"host": "localhost"}).content.decode()
        if not words or escape(words) not in page:
            self.tally.unexplained.append(words)

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
        if trouble.does != Does.WAIT and trouble.code != "staging_refused":
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
