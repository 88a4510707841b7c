"""What a cluster lets us do, per kind and namespace, and what does not work without it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from apps.rollout.cluster.settings import SMI, settings_of
from apps.rollout.drivers.akamai.preflight import GRANTED, MISSING, UNKNOWN, Finding
from apps.rollout.drivers.kubernetes.access import AccessReview, Permission
from apps.rollout.drivers.kubernetes.kinds import KINDS, scopes_of
from apps.rollout.models import Target
from apps.rollout.services.cluster.driving import cluster_driver, kinds_of

CLUSTER, KNOWS, ENFORCES = "The cluster", "Kinds it serves", "What it enforces"
WITHOUT_KIND = "Nothing of this kind can be brought there, and the services that need it stay as they are."
_WITHOUT = (
    (("create", "patch"), "Access that is approved cannot be brought there"),
    (("delete",), "objects of access that has ended stay there"),
    (("get", "list", "watch"), "what somebody changes by hand is not seen, and nothing can be read back"),
)


def questions(target: Target) -> int:
    """How many findings there will be, as far as it is known before anybody was asked."""
    chosen = settings_of(target.config)
    return 1 + len(kinds_of(chosen)) * len(chosen.namespaces)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent in a cluster was told there, for the preflight of that id."""

    preflight: int
    review: AccessReview


def scopes(target: Target) -> list[list[str]]:
    """What an agent is to ask about: pairs of namespace and kind."""
    chosen = settings_of(target.config)
    found = scopes_of(kinds_of(chosen), chosen.namespaces, chosen.verifier_namespace)
    return [[scope.namespace, scope.kind] for scope in found]


def look(target: Target) -> tuple[Finding, ...]:
    """Raises VendorError."""
    with cluster_driver(target) as driver:
        return findings(target, driver.access_review())


def findings(target: Target, review: AccessReview) -> tuple[Finding, ...]:
    """What a look at the cluster says, the most general first."""
    return (_version(review), *_kinds(review), *_enforced(target), *_rights(review.permissions))


def _version(review: AccessReview) -> Finding:
    return Finding(CLUSTER, "It answers", GRANTED, f"Kubernetes {review.server_version}.", "Nothing works.")


def _kinds(review: AccessReview) -> list[Finding]:
    return [
        Finding(KNOWS, KINDS[key].kind, MISSING, f"The cluster does not serve {key}.", WITHOUT_KIND)
        for key in review.missing
    ]


def _enforced(target: Target) -> list[Finding]:
    """What no permission tells: an object may be there and do nothing."""
    chosen = settings_of(target.config)
    found = []
    if "networkpolicy" in chosen.emitters:
        said = "Only a network plug-in that enforces policies makes them do anything. A pod that tries calls shows it."
        without = "The policies are there and change nothing."
        found.append(Finding(ENFORCES, "NetworkPolicy", UNKNOWN, said, without, needed=False))
    if SMI in chosen.emitters and chosen.mtls != "strict":
        said = f"mTLS is {chosen.mtls}: a caller outside the mesh may have no identity at all."
        without = "Who calls is not proven to TrafficTargets."
        found.append(Finding(ENFORCES, "Strict mTLS", MISSING, said, without, needed=False))
    return found


def _rights(permissions: Sequence[Permission]) -> list[Finding]:
    asked: defaultdict[tuple[str, str], list[Permission]] = defaultdict(list)
    for one in permissions:
        asked[one.namespace, one.kind].append(one)
    return [_right(namespace, kind, rows) for (namespace, kind), rows in sorted(asked.items())]


def _right(namespace: str, kind: str, rows: Sequence[Permission]) -> Finding:
    area, name = f"Namespace {namespace}", f"{KINDS[kind].kind} ({kind})"
    lacking = [one for one in rows if not one.allowed]
    if not lacking:
        return Finding(area, name, GRANTED, f"May {', '.join(one.verb for one in rows)}.", "")
    reasons = " ".join(dict.fromkeys(one.reason for one in lacking if one.reason))
    verbs = {one.verb for one in lacking}
    without = "; ".join(words for some, words in _WITHOUT if verbs & set(some))
    said = f"May not {', '.join(one.verb for one in lacking)}. {reasons}".strip()
    return Finding(area, name, MISSING, said, f"{without[:1].upper()}{without[1:]}.")
