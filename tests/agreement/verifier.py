"""Generated situations against the running verifier, asked as either ingress asks, beside what the reference says."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from apps.compiler.artifacts import Artifact
from apps.compiler.decide import Decision
from apps.compiler.emitters.cluster import emit_common, emit_service
from apps.compiler.emitters.nginx import upstream_key
from apps.compiler.graph import AccessGraph
from apps.compiler.paths import segments
from apps.compiler.reasons import TEXTS, Reason
from apps.compiler.slices import split
from apps.compiler.surroundings import ClusterSurroundings
from tests.agreement.mesh import AUDIENCE, FORGE, ISSUER, MOST_SERVICES, Layout, Reference, as_of_now, lay_out, tokens
from tests.agreement.strategies import TRUST_DOMAIN, Case, Situation
from tests.verifiers import Verifier, running


def surroundings(port: int) -> ClusterSurroundings:
    return ClusterSurroundings(
        cluster="blue",
        console_url="https://console.shop.test",
        trust_domain=TRUST_DOMAIN,
        emitters=frozenset({"nic", "gateway"}),
        verifier=f"sallyport/sp-verifier:{port}",
        gateway="gateways/outside",
        context_keys=(FORGE.key.verifying,),
        context_issuer=ISSUER,
        context_audience=AUDIENCE,
    )


def compile_cluster(graph: AccessGraph, told: ClusterSurroundings) -> tuple[Artifact, ...]:
    shards = [one for service, part in split(graph) for one in emit_service(part, service, told)]
    return (*emit_common(graph, told), *shards)


def wanted(reference: Reference, case: Case, fault: Reason | None) -> Decision:
    """As the ingress of our own mesh and the sidecar behind it: address, path, token, then the decision."""
    if case.service is None:
        return Decision(False, Reason.NO_SERVICE)
    if segments(case.path) is None:
        return Decision(False, Reason.BAD_PATH)
    return reference.at_sidecar(case, fault)


def disagreement(root: Path, port: int, situation: Situation, seen: Counter[str]) -> str | None:
    """The first case in which verifier and reference differ, in words; None when there is none."""
    layout = lay_out(situation.graph, situation.cases, tuple(range(1, MOST_SERVICES + 1)))
    now = as_of_now(situation.graph, layout, 9999, int(time.time()))
    reference = Reference(situation.graph)
    with running(root, port, compile_cluster(now, surroundings(port))) as verifier:
        for turn, case in enumerate(situation.cases):
            made = tokens(case, "" if case.service is None else layout.name(case.service, case.at))
            decision = wanted(reference, case, made.fault)
            found = _asked(verifier, layout, case, made.values, by_address=turn % 2 == 0)
            seen[decision.reason.value] += 1
            if not _agree(case, decision, found):
                return f"{case}\n  reference: {decision}\n  verifier:  {found}\n  {situation.graph}"
    return None


def _asked(
    verifier: Verifier, layout: Layout, case: Case, values: tuple[str, ...], *, by_address: bool
) -> tuple[int, str, str]:
    """Status, reason and grants. An ingress asks at the address of the service it would let the call through to."""
    key = "none" if case.service is None else upstream_key(layout.name(case.service, case.at))
    headers = [("Txn-Token", value) for value in values]
    if by_address:
        target = f"/nic/{key}/{case.method}{case.target}"
    else:
        target = f"/gateway/{key}"
        headers += [("Method", case.method), ("Path", case.target)]
    status, answer = verifier.ask(target, host=layout.host(case.host, case.at), headers=headers)
    return status, answer.get("x-sallyport-reason", ""), answer.get("x-sallyport-grant", "")


def _agree(case: Case, decision: Decision, found: tuple[int, str, str]) -> bool:
    """What NGINX itself refuses to read never gets an answer of ours; an ingress takes that for a refusal."""
    status, reason, _ = found
    if reason == "":
        return status == 400 and not decision.allowed and (segments(case.target) is None or not case.method.isupper())
    if not decision.allowed and not case.method.isupper():
        return status in (401, 403)
    expected = 401 if TEXTS[decision.reason].status == 401 else 403
    if decision.allowed:
        return found == (204, "granted", ",".join(decision.grant_ids))
    return found == (expected, decision.reason.value, "")
