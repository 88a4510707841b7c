"""What the schemas of Kubernetes objects cannot say: rules that a controller enforces late, or not at all."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from apps.compiler.addresses import Block, within
from apps.compiler.emitters.cluster.objects import Object, is_label
from apps.compiler.emitters.cluster.regexes import LONGEST
from apps.compiler.emitters.cluster.traps import Trap
from apps.compiler.lint import Severity

_AUTHENTICATE = frozenset({"apiKey", "basicAuth", "externalAuth", "jwt", "oidc", "ingressMTLS", "egressMTLS"})
KINDS = _AUTHENTICATE | {"accessControl", "cache", "cors", "hsts", "rateLimit", "waf"}
"""What a Policy of NGINX Ingress Controller can be: exactly one of these."""

PLUS_ONLY = frozenset({"jwt", "oidc", "waf"})
_RATE = re.compile(r"[1-9][0-9]*r/[sm]")
_WHOLE = 100

Index = Mapping[tuple[str, str, str], Object]
"""Objects by kind, namespace and name."""


def lint_objects(objects: Iterable[Object], *, plus: bool = False, beside: Iterable[Object] = ()) -> tuple[Trap, ...]:
    """Errors of objects that are applied together. ``plus``: the ingress controller runs NGINX Plus.

    Those ``beside`` them may be referred to, and are not looked at themselves.
    """
    found = tuple(objects)
    index = {_key(one): one for one in (*beside, *found)}
    told = [trap for rule in _RULES for one in found for trap in rule(one, index)]
    if not plus:
        told += [trap for one in found for trap in _plus_only(one)]
    return tuple(dict.fromkeys((*told, *_duplicate_limits(found), *_same_pair(found))))


def _key(one: Object) -> tuple[str, str, str]:
    return one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]


def _error(code: str, one: Object, sentence: str) -> Trap:
    kind, namespace, name = _key(one)
    return Trap(code, f"{kind} {namespace}/{name}: {sentence}", Severity.ERROR)


def _legal_names(one: Object, index: Index) -> Iterator[Trap]:
    if not all(is_label(one["metadata"].get(part, "")) for part in ("namespace", "name")):
        yield _error("illegal_name", one, "its name or namespace is no DNS label.")


def _policy_kinds(one: Object) -> frozenset[str]:
    return KINDS & one["spec"].keys() if one["kind"] == "Policy" else frozenset()


def _exactly_one(one: Object, index: Index) -> Iterator[Trap]:
    if one["kind"] == "Policy" and len(_policy_kinds(one)) != 1:
        yield _error("policy_kinds", one, "a policy is exactly one thing.")


def _plus_only(one: Object) -> Iterator[Trap]:
    if _policy_kinds(one) & PLUS_ONLY:
        yield _error("plus_only", one, "this policy needs NGINX Plus.")


def _no_snippets(one: Object, index: Index) -> Iterator[Trap]:
    if any(key.lower().endswith("snippets") for key in _keys(one.get("spec", {}))):
        yield _error("snippets", one, "raw NGINX configuration is not emitted.")


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, held in value.items():
            yield key
            yield from _keys(held)
    elif isinstance(value, list):
        for held in value:
            yield from _keys(held)


def _rates(one: Object, index: Index) -> Iterator[Trap]:
    spec = one.get("spec", {})
    found = {
        "RateLimit": lambda: [spec["rate"]],
        "Policy": lambda: [spec["rateLimit"]["rate"]] if "rateLimit" in spec else [],
        "RateLimitPolicy": lambda: [rule["rate"] for rule in spec["rateLimit"]["local"]["rules"]],
    }.get(one["kind"], list)()
    if any(not _RATE.fullmatch(rate) for rate in found):
        yield _error("bad_rate", one, "a rate is a number above nothing, and r/s or r/m.")


def _patterns(one: Object, index: Index) -> Iterator[Trap]:
    if one["kind"] != "HTTPRouteGroup":
        return
    patterns = [match.get("pathRegex", "") for match in one["spec"]["matches"]]
    if any(not (pattern.startswith("^") and pattern.endswith("$")) for pattern in patterns):
        yield _error("loose_pattern", one, "a pattern that is not anchored at both ends matches more than it says.")
    if any(len(pattern) > LONGEST for pattern in patterns):
        yield _error("pattern_too_long", one, "NGINX takes no word that long in its configuration.")


def _group_references(one: Object, index: Index) -> Iterator[Trap]:
    if one["kind"] not in {"TrafficTarget", "RateLimit"}:
        return
    for rule in one["spec"].get("rules", ()):
        group = index.get((rule["kind"], one["metadata"]["namespace"], rule["name"]))
        known = {match["name"] for match in group["spec"].get("matches", ())} if group is not None else set()
        if not known.issuperset(rule.get("matches", ())) or group is None:
            yield _error("dangling", one, f"{rule['kind']} {rule['name']} or a match in it is missing.")


def _namespaces(one: Object, index: Index) -> Iterator[Trap]:
    if one["kind"] == "TrafficTarget":
        parties = [one["spec"]["destination"], *one["spec"].get("sources", ())]
        if any(not party.get("namespace") for party in parties):
            yield _error("no_namespace", one, "a party without a namespace is looked for in another one.")


def _weights(one: Object, index: Index) -> Iterator[Trap]:
    if one["kind"] == "TrafficSplit" and not any(backend["weight"] > 0 for backend in one["spec"]["backends"]):
        yield _error("weights", one, "no version gets any call.")
    for route in _routes(one):
        weights = [part["weight"] for part in route.get("splits", ())]
        if weights and (sum(weights) != _WHOLE or not all(0 < weight < _WHOLE for weight in weights)):
            yield _error("weights", one, f"the weights of {route['path']} are not a hundred together.")


def _routes(one: Object) -> Sequence[Any]:
    fields = {"VirtualServer": "routes", "VirtualServerRoute": "subroutes"}
    return one["spec"].get(fields[one["kind"]], ()) if one["kind"] in fields else ()


def _ingress_references(one: Object, index: Index) -> Iterator[Trap]:
    namespace = one["metadata"].get("namespace", "")
    for route in _routes(one):
        if "route" in route and ("VirtualServerRoute", *_split_name(route["route"], namespace)) not in index:
            yield _error("dangling", one, f"VirtualServerRoute {route['route']} is missing.")
    for policy in _policies(one):
        if ("Policy", policy.get("namespace", namespace), policy["name"]) not in index:
            yield _error("dangling", one, f"Policy {policy['name']} is missing, so it answers 500.")


def _policies(one: Object) -> Iterator[Any]:
    if one["kind"] in {"VirtualServer", "VirtualServerRoute"}:
        yield from one["spec"].get("policies", ())
    for route in _routes(one):
        yield from route.get("policies", ())


def _split_name(reference: str, namespace: str) -> tuple[str, str]:
    first, slash, second = reference.partition("/")
    return (first, second) if slash else (namespace, first)


def _levels(one: Object, index: Index) -> Iterator[Trap]:
    """Mutual TLS belongs to the whole server; and what asks who calls must stand where the call is answered."""
    namespace = one["metadata"].get("namespace", "")
    whole = one["spec"].get("policies", ()) if one["kind"] == "VirtualServer" else ()
    if "ingressMTLS" in _named(whole, namespace, index) and not one["spec"].get("tls"):
        yield _error("mtls_without_tls", one, "client certificates need TLS.")
    for route in _routes(one):
        kinds = _named(route.get("policies", ()), namespace, index)
        if "ingressMTLS" in kinds:
            yield _error("mtls_at_a_route", one, "client certificates are asked for by the whole server only.")
        if "route" not in route and "externalAuth" not in kinds:
            yield _error("unasked", one, f"nobody is asked about {route['path']}.")


def _named(policies: Iterable[Mapping[str, str]], namespace: str, index: Index) -> frozenset[str]:
    found = [index.get(("Policy", policy.get("namespace", namespace), policy["name"])) for policy in policies]
    return frozenset(kind for one in found if one is not None for kind in _policy_kinds(one))


def _gateway_references(one: Object, index: Index) -> Iterator[Trap]:
    if one["kind"] != "HTTPRoute":
        return
    namespace = one["metadata"]["namespace"]
    for rule in one["spec"]["rules"]:
        asked = [
            part["externalAuth"]["backendRef"] for part in rule.get("filters", ()) if part["type"] == "ExternalAuth"
        ]
        if not asked:
            yield _error("unasked", one, "a rule lets calls through that nobody was asked about.")
        for reference in asked:
            there = reference.get("namespace", namespace)
            if there != namespace and not _consented(namespace, there, reference["name"], index):
                yield _error("no_consent", one, f"no ReferenceGrant in {there} lets it ask {reference['name']}.")


def _consented(namespace: str, there: str, name: str, index: Index) -> bool:
    grants = [one["spec"] for (kind, where, _), one in index.items() if kind == "ReferenceGrant" and where == there]
    return any(
        any(source["namespace"] == namespace and source["kind"] == "HTTPRoute" for source in spec["from"])
        and any(target["kind"] == "Service" and target.get("name", name) == name for target in spec["to"])
        for spec in grants
    )


def _duplicate_limits(objects: Sequence[Object]) -> Iterator[Trap]:
    """The same pair twice is refused when it is written alike, and wins or loses by chance when it is not."""
    seen: dict[tuple[object, ...], list[Object]] = defaultdict(list)
    for one in objects:
        if one["kind"] == "RateLimit":
            namespace, spec = one["metadata"]["namespace"], one["spec"]
            for source in spec.get("sources") or [{}]:
                seen[_party(spec["destination"], namespace), _party(source, namespace)].append(one)
    for several in seen.values():
        if len(several) > 1:
            yield _error("duplicate_limit", several[-1], "its source and destination already have a limit.")


def _same_pair(objects: Sequence[Object]) -> Iterator[Trap]:
    """Which of two targets a mesh reads first is not said, so all that one source may do at a destination is in one."""
    seen: dict[tuple[object, ...], list[Object]] = defaultdict(list)
    for one in objects:
        if one["kind"] == "TrafficTarget":
            namespace, spec = one["metadata"]["namespace"], one["spec"]
            there = (*_party(spec["destination"], namespace), spec["destination"].get("port"))
            for source in spec.get("sources", ()):
                seen[there, _party(source, namespace)].append(one)
    for several in seen.values():
        if len(several) > 1:
            yield _error("same_pair", several[-1], "another target has its source and destination.")


def _party(party: Mapping[str, str], namespace: str) -> tuple[str, ...]:
    return (party["kind"], party.get("namespace") or namespace, party["name"]) if party else ()


def _same_match(one: Object, index: Index) -> Iterator[Trap]:
    if one["kind"] == "HTTPRouteGroup":
        names = Counter(match["name"] for match in one["spec"]["matches"])
        if names and max(names.values()) > 1:
            yield _error("same_match", one, "two matches have one name.")


def _blocks(one: Object, index: Index) -> Iterator[Trap]:
    """A block beside a selector is refused late; one that is written loosely, or is everything, means too much."""
    if one["kind"] != "NetworkPolicy":
        return
    sides = (("ingress", "from"), ("egress", "to"))
    rules = [(rule, key) for side, key in sides for rule in one["spec"].get(side) or ()]
    for peer in (peer for rule, key in rules for peer in rule.get(key) or () if "ipBlock" in peer):
        written, but = str(peer["ipBlock"].get("cidr", "")), peer["ipBlock"].get("except") or ()
        block = _network(written)
        if len(peer) > 1:
            yield _error("block_mixed", one, f"{written} stands beside a selector in one element.")
        if block is None or any(not _lies_within(_network(str(part)), block) for part in but):
            yield _error("block_loose", one, f"{written} or an exception to it is no block in its normal form.")
        elif block.prefixlen == 0 and not but:
            yield _error("block_everybody", one, f"{written} is every address there is.")


def _network(text: str) -> Block | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _lies_within(part: Block | None, block: Block) -> bool:
    return part is not None and part != block and within(part, block)


_RULES: tuple[Callable[[Object, Index], Iterator[Trap]], ...] = (
    _legal_names,
    _exactly_one,
    _no_snippets,
    _rates,
    _patterns,
    _same_match,
    _group_references,
    _namespaces,
    _weights,
    _ingress_references,
    _levels,
    _gateway_references,
    _blocks,
)
