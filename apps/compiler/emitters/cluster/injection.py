"""A workload as somebody else describes it, with a sidecar put in: what ``kubectl apply`` takes, complete.

What would break, or open a way past the door, is refused with words. A kubelet that asks the application over HTTP has
no certificate: its questions go to a port of the sidecar that answers them and nothing else. Doing it again changes
nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from apps.compiler.emitters.cluster.objects import NAME_LABEL, Object
from apps.compiler.emitters.cluster.sidecar import USER, Beside, Place, Sidecar, config_map, place, template, written
from apps.compiler.surroundings import ClusterSurroundings

KINDS = ("Deployment", "StatefulSet", "DaemonSet")
"""A Job's pod would never end: its sidecar does not."""

HEALTH_PORT = 15020
MOVED = "sallyport.dev/moved-probes"
"""An annotation that keeps what a kubelet asked before."""

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")


class CannotInject(ValueError):
    """No sidecar can stand beside this; the message says why."""


def injected(
    workload: Mapping[str, Any], beside: Beside, surroundings: ClusterSurroundings, sidecar: Sidecar
) -> tuple[Object, Object]:
    """The ConfigMap and the workload. Raises CannotInject."""
    found, whole = place(beside), deepcopy(dict(workload))
    _require_fit(whole, found)
    pod = whole["spec"]["template"]
    _restore(pod)
    _require_free(pod["spec"], found, sidecar)
    checks = _move_probes(pod, found)
    _require_same_selector(whole, found)
    whole["spec"]["template"] = _merged(pod, template(beside, sidecar))
    beside_it = config_map(beside, surroundings, sidecar)
    if checks:
        settings = json.loads(beside_it["data"]["agent.json"])
        health = {"port": HEALTH_PORT, "checks": checks}
        beside_it["data"]["agent.json"] = written({**settings, "health": health})
    return beside_it, whole


def _require_fit(whole: Mapping[str, Any], found: Place) -> None:
    kind, metadata = whole.get("kind"), whole.get("metadata", {})
    if kind not in KINDS:
        raise CannotInject(f"A sidecar goes into a {', '.join(KINDS[:-1])} or {KINDS[-1]}, not into a {kind}.")
    if not isinstance(whole.get("spec", {}).get("template", {}).get("spec"), dict):
        raise CannotInject(f"This {kind} has no pod template.")
    if metadata.get("namespace", found.namespace) != found.namespace:
        raise CannotInject(f"{found.id} is in {found.namespace}; this {kind} is in {metadata['namespace']}.")


def _require_free(pod: Mapping[str, Any], found: Place, sidecar: Sidecar) -> None:
    if pod.get("hostNetwork"):
        raise CannotInject("The pod uses its node's network: the rules would turn the whole node's connections.")
    users = [part.get("securityContext", {}).get("runAsUser") for part in (pod, *_theirs(pod))]
    if USER in users:
        raise CannotInject(f"The pod runs as user {USER}, whose calls nobody turns: that is the sidecar's own.")
    taken = {found.door, sidecar.calls.port if sidecar.calls.ways else None, HEALTH_PORT}
    for container in _theirs(pod):
        for port in container.get("ports", ()):
            if port.get("containerPort") in taken:
                raise CannotInject(f"{container['name']} listens on {port['containerPort']}, which the sidecar needs.")


def _require_same_selector(whole: Mapping[str, Any], found: Place) -> None:
    """The label that NetworkPolicies look for is put on; a selector that wants another value would lose its pods."""
    wanted = whole["spec"].get("selector", {}).get("matchLabels", {}).get(NAME_LABEL, found.name)
    if wanted != found.name:
        raise CannotInject(f"Its selector wants {NAME_LABEL}: {wanted}; pods of {found.id} are labelled {found.name}.")


def _theirs(pod: Mapping[str, Any]) -> Iterator[Any]:
    every = (*pod.get("initContainers", ()), *pod.get("containers", ()))
    yield from (one for one in every if not one["name"].startswith("sallyport-"))


def _restore(pod: dict[str, Any]) -> None:
    """Probes as they were before an earlier injection, where nobody has changed them since."""
    kept = pod.get("metadata", {}).get("annotations", {}).pop(MOVED, None)
    moved = json.loads(kept) if kept else {}
    for container in _theirs(pod["spec"]):
        for kind in PROBES:
            question, asked = f"/{container['name']}/{kind}", (container.get(kind) or {}).get("httpGet") or {}
            if question in moved and asked.get("path") == question:
                container[kind]["httpGet"] = moved[question]


def _move_probes(pod: dict[str, Any], found: Place) -> dict[str, str]:
    """Points HTTP questions about the application's port to the sidecar's; returns what is answered by what."""
    checks: dict[str, str] = {}
    moved: dict[str, Any] = {}
    for container in _theirs(pod["spec"]):
        for kind in PROBES:
            port, asked = _asked(container, kind, found)
            if port is None:
                continue
            question = f"/{container['name']}/{kind}"
            checks[question], moved[question] = f"{port}{asked.get('path', '/')}", asked
            container[kind]["httpGet"] = {**asked, "path": question, "port": HEALTH_PORT}
    if moved:
        pod.setdefault("metadata", {}).setdefault("annotations", {})[MOVED] = json.dumps(moved, sort_keys=True)
    return checks


def _asked(container: Mapping[str, Any], kind: str, found: Place) -> tuple[int | None, dict[str, Any]]:
    """The port and the question, where the door stands in the way of it."""
    probe = container.get(kind) or {}
    for how in ("grpc", "httpGet"):
        if how in probe and _number(container, probe[how].get("port")) in found.ports:
            break
    else:
        return None, {}
    asked = probe[how]
    if how == "grpc" or asked.get("scheme", "HTTP") != "HTTP" or not _PATH.fullmatch(asked.get("path", "/")):
        raise CannotInject(
            f"The {kind} of {container['name']} asks in a way that the sidecar cannot pass on: "
            "make it an exec probe, or plain HTTP without a query."
        )
    return _number(container, asked["port"]), dict(asked)


def _number(container: Mapping[str, Any], port: object) -> int | None:
    named = {one.get("name"): one.get("containerPort") for one in container.get("ports", ())}
    found = named.get(port, port)
    return found if isinstance(found, int) else None


def _merged(base: Any, change: Any) -> Any:
    """As a strategic merge patch: objects by key, lists of named things by name.

    Ours come first, so that what starts before the workload's own parts cannot send anything past the rules either.
    """
    if isinstance(base, dict) and isinstance(change, dict):
        return {**base, **{key: _merged(base[key], value) if key in base else value for key, value in change.items()}}
    if isinstance(base, list) and isinstance(change, list):
        ours = {one["name"] for one in change}
        return [*change, *(one for one in base if one["name"] not in ours)]
    return change
