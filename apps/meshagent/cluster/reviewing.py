"""What the cluster lets its agent do, asked when somebody at the console wants to know. It only reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from apps.meshagent.cluster.kinds import KINDS
from apps.meshagent.cluster.reading import at_once
from apps.meshagent.cluster.server import Api

VERBS = ("get", "list", "create", "patch", "delete")
MOST_SCOPES = 3000


def review(
    api: Api, ask: Mapping[str, Any], namespaces: Collection[str], kinds: Collection[str]
) -> dict[str, Any] | None:
    """None where nobody asked. ``ask["scopes"]`` are pairs of namespace and kind; of those the agent was not told
    about, the answer is that it may not. Raises ClusterError."""
    if not ask.get("preflight"):
        return None
    scopes = [(str(namespace), str(key)) for namespace, key in ask.get("scopes", ())][:MOST_SCOPES]
    known = sorted({key for _, key in scopes if key in KINDS})
    missing = [key for key, there in zip(known, at_once(api.serves, known), strict=True) if not there]
    questions = [(*scope, verb) for scope in scopes if scope[1] not in missing for verb in VERBS]

    def answer(question: tuple[str, str, str]) -> list[object]:
        namespace, key, verb = question
        if namespace not in namespaces or key not in kinds or key not in KINDS:
            return [*question, False, "Its agent was not told about it: apply the agent's manifest again."]
        return [*question, *api.allows(namespace, key, verb)]

    told = at_once(answer, questions)
    return {"preflight": ask["preflight"], "version": api.version(), "missing": missing, "permissions": told}
