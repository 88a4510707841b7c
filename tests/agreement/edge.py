"""Generated situations against the EdgeWorkers bundle in V8: the request of a case, and the reference on it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache

from apps.compiler.doors import EdgeCall, EdgeDoor
from apps.compiler.emitters.edgekv import GROUP, emit_item
from apps.compiler.emitters.edgeworker import emit_code
from apps.compiler.graph import AccessGraph
from apps.compiler.reasons import TEXTS, Reason
from apps.compiler.sessions import Came, challenge, comes_from, cookie_names, needs_proof, origin_of, shown
from apps.compiler.slices import split
from apps.compiler.surroundings import EdgeSurroundings
from apps.compiler.tokens import EDGE_SESSION_TYPE, EDGE_TOKEN_TYPE, Expected, check, holder
from apps.localedge.runner import EdgeRunner, Request, Result
from tests.agreement.forge import Forge, Forged, KeyPair, acted
from tests.agreement.strategies import Carrier, Case, Page, Situation, TokenFault

ISSUER = "https://console.shop.test"
AUDIENCE = "sallyport-edge"
TOKEN_KEY = KeyPair.of("token-1", 0x1111)
FORGE = Forge(TOKEN_KEY, KeyPair.of("token-1", 0x2222), EDGE_TOKEN_TYPE)
BROWSERS = Forge(TOKEN_KEY, KeyPair.of("token-1", 0x2222), EDGE_SESSION_TYPE)
SECRET, OTHER_SECRET = "s" * 43, "o" * 43
SURROUNDINGS = EdgeSurroundings(
    issuer=ISSUER,
    audience=AUDIENCE,
    token_keys=(TOKEN_KEY.verifying,),
    context_issuer="edge:test",
    context_audience="mesh:test",
    context_key=KeyPair.of("context-1", 0x3333).signing,
    salt="salt",
    namespace="sallyport",
    console_url=ISSUER,
)
AT_THE_MESH_ONLY = {
    Reason.BAD_CLIENT_CERTIFICATE,
    Reason.UNKNOWN_WORKLOAD,
    Reason.EDGE_TOKEN_ABSENT,
    Reason.SERVICE_MISMATCH,
}
NOT_BY_A_POLICY = {Reason.POLICY_UNAVAILABLE, Reason.RATE_LIMITED, Reason.BREAKER_OPEN, Reason.SIGN_IN}
REACHABLE = {reason.value for reason in set(Reason) - AT_THE_MESH_ONLY - NOT_BY_A_POLICY}
EXPECTED = Expected(EDGE_TOKEN_TYPE, ISSUER, AUDIENCE)


@cache
def forged(subject: str, actor: str | None, fault: TokenFault, at: int, age: int = 0) -> Forged:
    claims: dict[str, object] = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "jti": "1"}
    claims |= {"iat": at - age, "exp": at + 300}
    return FORGE.make(acted(claims, actor), fault, at)


@cache
def session(case: Case) -> Forged:
    """What a browser holds, as the values of headers that bear it; each is ``Bearer`` and a token."""
    host = f"other.{_name(case)}" if case.carrier is Carrier.OTHER_HOST else _name(case)
    secret = OTHER_SECRET if case.carrier is Carrier.OTHER_BROWSER else SECRET
    bound = {} if case.carrier is Carrier.UNBOUND else {"cnf": {"s256": challenge(secret)}}
    claims: dict[str, object] = {"iss": ISSUER, "aud": host, "sub": case.subject, **bound}
    claims |= {"iat": case.at - case.age, "exp": case.at + 300}
    return BROWSERS.make(acted(claims, case.actor), case.fault, case.at)


def _name(case: Case) -> str:
    return case.host.partition(":")[0].lower()


NAME = cookie_names(SURROUNDINGS.edge_url).session
CAME = {
    Page.SAME: lambda own: Came(("same-origin",), (own,)),
    Page.HIDDEN: lambda own: Came(("same-origin",), ("null",)),
    Page.SIBLING: lambda own: Came(("same-site",), ("https://sibling.shop.test",)),
    Page.STRANGER: lambda own: Came((), ("https://evil.test",)),
    Page.SILENT: lambda own: Came(),
}


def came(case: Case) -> Came:
    return CAME[case.page](origin_of(SURROUNDINGS.edge_url, case.host))


def authorization(case: Case) -> tuple[str, ...]:
    if case.carrier not in {Carrier.HEADER, Carrier.BOTH}:
        return ()
    return forged(case.subject, case.actor, case.fault, case.at, case.age).values


def cookies(case: Case) -> tuple[str, ...]:
    """One header, whose cookies may be several; under another name where a header would have another scheme."""
    if case.carrier is Carrier.HEADER:
        return ()
    name = NAME.lower() if case.fault is TokenFault.OTHER_SCHEME else NAME
    held = [f"{name}={SECRET}.{value.partition(' ')[2]}" for value in session(case).values]
    return ("; ".join(["theme=dark", *held]),)


@dataclass(frozen=True)
class Answer:
    allowed: bool
    reason: str
    grants: tuple[str, ...]


def load(runner: EdgeRunner, graph: AccessGraph) -> None:
    runner.activate({artifact.path: artifact.content for artifact in emit_code(graph, SURROUNDINGS)})
    artifacts = [emit_item(part, service, SURROUNDINGS) for service, part in split(graph)]
    runner.set_items({(SURROUNDINGS.namespace, GROUP, a.path.partition("/")[2]): a.content.decode() for a in artifacts})


def expected(door: EdgeDoor, case: Case) -> Answer:
    found = shown(authorization(case), cookies(case), NAME)
    in_header = found.secret is None
    made = forged(case.subject, case.actor, case.fault, case.at, case.age) if in_header else session(case)
    fault = found.fault
    if fault is None and made.presented is not None:
        known_by = holder(made.presented.claims or {})
        token = replace(made.presented, holder_ok=found.secret is None or known_by == challenge(found.secret))
        wanted = EXPECTED if in_header else Expected(EDGE_SESSION_TYPE, ISSUER, _name(case))
        fault = check(token, wanted, case.at)
    own = origin_of(SURROUNDINGS.edge_url, case.host)
    if fault is None and not in_header and needs_proof(case.method) and not comes_from(own, came(case)):
        fault = Reason.CROSS_SITE
    call = EdgeCall(case.host, case.method, case.target)
    decision = door.judge(call, fault, case.subject, case.at, case.actor, _issued(made))
    return Answer(decision.allowed, decision.reason.value, decision.grant_ids)


def _issued(made: Forged) -> float | None:
    """A faulty token may lie about it; what is good says so."""
    claims = made.presented.claims if made.presented is not None else None
    issued = claims.get("iat") if claims is not None else None
    return issued if isinstance(issued, int) else None


def request(case: Case) -> Request:
    headers = {
        "Authorization": authorization(case),
        "Cookie": cookies(case),
        "Sec-Fetch-Site": came(case).site,
        "Origin": came(case).origin,
    }
    sent = {name: values for name, values in headers.items() if values}
    return {"method": case.method, "host": case.host, "path": case.target, "headers": sent}


def observed(result: Result) -> Answer:
    """What the edge did, cross-checked with what it says it did."""
    told = json.loads(result["variables"]["PMUSER_SP_V"])
    allowed = result["action"] == "forward"
    assert allowed == (told["v"] == "allow"), result
    if not allowed:
        assert result["status"] == TEXTS[Reason(told["r"])].status, result
    return Answer(allowed, told["r"], tuple(told["g"]))


def run(runner: EdgeRunner, cases: Sequence[Case]) -> Iterator[tuple[Case, Answer]]:
    by_time: dict[int, list[Case]] = defaultdict(list)
    for case in cases:
        by_time[case.at].append(case)
    for at, group in by_time.items():
        results = runner.run_many([request(case) for case in group], now=at)
        yield from zip(group, map(observed, results), strict=True)


def disagreement(runner: EdgeRunner, situation: Situation, seen: Counter[str]) -> str | None:
    """The first case in which edge and reference differ, in words; None when there is none."""
    load(runner, situation.graph)
    door = EdgeDoor(situation.graph)
    for case, answer in run(runner, situation.cases):
        wanted = expected(door, case)
        seen[wanted.reason] += 1
        if answer != wanted:
            return f"{case}\n  reference: {wanted}\n  edge:      {answer}\n  {situation.graph}"
    return None


@contextmanager
def empty_edge() -> Iterator[EdgeRunner]:
    """V8 with our code and no policy yet."""
    files = {artifact.path: artifact.content for artifact in emit_code(AccessGraph(), SURROUNDINGS)}
    with EdgeRunner(files) as running:
        yield running
