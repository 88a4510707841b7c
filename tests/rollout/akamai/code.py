"""New code for an edge target, and the hands that bring it there."""

from __future__ import annotations

from dataclasses import asdict

from apps.rollout.models import Release, Target
from apps.rollout.services.safety import Safety
from apps.rollout.services.targets import TargetSpec
from apps.trust import services as trust
from apps.trust.models import Purpose, SigningKey
from tests.localedge.standin import StandIn, eventually
from tests.rollout.world import Hands, edge_spec, make_target, now

BROKEN = '{"v":1,"svc":"another"}'


def careful_spec(standin: StandIn, **safety: object) -> TargetSpec:
    """A target that knows the way into the stand-in's staging network."""
    spec = edge_spec(standin.control, f"http://127.0.0.1:{standin.ports['data']}")
    entry = f"http://127.0.0.1:{standin.ports['data_staging']}"
    wish = {**asdict(Safety(staging_entry=entry)), **safety}
    spec.config["safety"] = wish  # type: ignore[index]  # a dict in the factory
    return spec


def make_edge(standin: StandIn, **safety: object) -> Target:
    """In force, with its first code seen to be good."""
    make_target(careful_spec(standin, **safety))
    hands = Hands()
    eventually(lambda: worked(hands).active_number > 0)
    eventually(lambda: worked(hands) and newest().proven_at)
    end_the_watch()
    assert newest().state == "good"
    return Target.objects.get()


def end_the_watch() -> None:
    hands = Hands()
    hands.push(minutes=11)
    hands.work("edge")


def newest() -> Release:
    return Release.objects.order_by("-pk")[0]


def worked(hands: Hands) -> Target:
    """What is due is done, without waiting for what Akamai has under way."""
    Target.objects.filter(error="", to_approve="").update(retry_at=None)
    hands.work("edge")
    return Target.objects.get()


def new_code() -> None:
    """Another signing key is other code."""
    long_ago = now() - trust.LIFETIME[Purpose.BUNDLE]
    SigningKey.objects.filter(state__in=["active", "next"]).update(changed_at=long_ago, created_at=long_ago)
    assert trust.rotate_due(at=now()) > 0


def patient(hands: Hands) -> Hands:
    """Past the pauses between tries."""
    hands.push(seconds=61)
    return hands


def live(standin: StandIn, network: str = "PRODUCTION") -> str:
    path = f"/edgeworkers/v1/ids/{Target.objects.get().facts['edgeworker_id']}/activations"
    rows = standin.call("GET", path, params={"activeOnNetwork": "true", "network": network}).json()["activations"]
    return str(rows[0]["version"]) if rows else ""


def asked_for(standin: StandIn, network: str) -> list[str]:
    """Versions of which an activation was ever asked for, the newest first."""
    path = f"/edgeworkers/v1/ids/{Target.objects.get().facts['edgeworker_id']}/activations"
    rows = standin.call("GET", path, params={"network": network}).json()["activations"]
    return [str(row["version"]) for row in rows]
