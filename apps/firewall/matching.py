"""Which service, and which caller, a written name may mean: candidates with a confidence and why. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher

from apps.catalog.selectors import Placed
from apps.compiler.addresses import Block, covers, write
from apps.firewall.terms import Term

EXACT, NAMED, LIKELY, MAYBE = 1.0, 0.95, 0.8, 0.5
SURE_ENOUGH = 0.9
"""From here on one candidate alone is taken without asking which."""
APART = 0.1
"""A candidate that is not this much behind the best makes it ambiguous."""
ALIKE = 0.8
MOST = 6


@dataclass(frozen=True, slots=True)
class Candidate:
    """``key`` is a service's short name, or a subject's key; ``confidence`` from 0 to 1; ``why`` a whole sentence."""

    key: str
    label: str
    confidence: float
    why: str

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may be meant as a source. ``blocks`` are the addresses a party asked for before."""

    key: str
    kind: str
    name: str
    email: str = ""
    blocks: tuple[Block, ...] = ()


def settled(candidates: Sequence[Candidate]) -> Candidate | None:
    """The one that is sure enough and stands alone."""
    if not candidates or candidates[0].confidence < SURE_ENOUGH:
        return None
    near = [one for one in candidates[1:] if one.confidence > candidates[0].confidence - APART]
    return None if near else candidates[0]


def _best_first(found: Iterable[Candidate]) -> list[Candidate]:
    """Each once, with its best reason."""
    best: dict[str, Candidate] = {}
    for one in found:
        if one.key not in best or one.confidence > best[one.key].confidence:
            best[one.key] = one
    return sorted(best.values(), key=lambda one: (-one.confidence, one.key))[:MOST]


def services_for(term: Term, ports: Sequence[Sequence[int]], placed: Iterable[Placed]) -> list[Candidate]:
    """Destinations a term may mean, the likeliest first."""
    known = list(placed)
    if term.anybody:
        return []
    at_host = [one for one in known if one.host and one.host == term.name]
    found = [*_at_host(term, at_host), *(hit for one in known for hit in _names_service(term, one))]
    if not found:
        found = [*_by_port(term, ports, known), *(hit for one in known for hit in _resembles(term, one))]
    return _best_first(_minding_ports(one, ports, known) for one in found)


def _at_host(term: Term, there: Sequence[Placed]) -> Iterator[Candidate]:
    """Services behind one host are told apart by their base path."""
    under = [one for one in there if _is_under(term.path, one.base_path)]
    for one in under if term.path else there:
        address = f"{one.host}{one.base_path}"
        if len(there) == 1 or (term.path and one.base_path and len(under) == 1):
            yield Candidate(one.slug, one.title, NAMED, f"It answers at {address}.")
        else:
            yield Candidate(one.slug, one.title, MAYBE, f"It is one of {len(there)} services behind {one.host}.")


def _is_under(path: str, base: str) -> bool:
    return path == base or path.startswith(f"{base}/")


def _names_service(term: Term, one: Placed) -> Iterator[Candidate]:
    def said(confidence: float, why: str) -> Candidate:
        return Candidate(one.slug, one.title, confidence, why)

    if term.name == one.slug and term.plainly:
        yield said(EXACT, f"{one.slug} is its short name.")
    elif term.plain in {one.slug, one.title.lower()} or term.name == one.title.lower():
        yield said(NAMED, f"It is called {one.title}.")
    if one.upstream_name and term.name == one.upstream_name.lower():
        yield said(NAMED, f"Its authors call it {one.upstream_name}.")
    if one.namespace and term.name in _cluster_names(one):
        yield said(NAMED, f"It runs in the namespace {one.namespace} under this name.")
    if one.workload and term.name == one.workload.removeprefix("workload:").lower():
        yield said(NAMED, "It answers with this workload identity.")


def _cluster_names(one: Placed) -> set[str]:
    names = {one.slug, one.upstream_name.lower()} - {""}
    forms = ("{0}.{1}", "{1}/{0}", "{0}.{1}.svc", "{0}.{1}.svc.cluster.local")
    return {form.format(name, one.namespace) for name in names for form in forms}


def _by_port(term: Term, ports: Sequence[Sequence[int]], known: Iterable[Placed]) -> Iterator[Candidate]:
    wanted = {term.port} if term.port else {low for low, high in ports if low == high}
    for one in known:
        shared = wanted & {one.port, one.upstream_port} - {None}
        if shared:
            why = f"It listens on port {min(shared)}; the address itself says nothing."
            yield Candidate(one.slug, one.title, MAYBE, why)


def _resembles(term: Term, one: Placed) -> Iterator[Candidate]:
    if term.blocks:
        return
    names = (one.slug, one.title.lower(), one.upstream_name.lower())
    alike = max(SequenceMatcher(None, term.plain, name).ratio() for name in names if name)
    if alike >= ALIKE:
        yield Candidate(one.slug, one.title, LIKELY * alike, f"{one.title} is spelled almost like that.")
    elif term.words & {*one.slug.replace("_", "-").split("-"), *one.title.lower().split()}:
        yield Candidate(one.slug, one.title, MAYBE, f"{one.title} has a word of it in its name.")


def _minding_ports(found: Candidate, ports: Sequence[Sequence[int]], known: Iterable[Placed]) -> Candidate:
    """A port the service does not have makes it doubtful that it is meant."""
    one = next(one for one in known if one.slug == found.key)
    own = {port for port in (one.port, one.upstream_port) if port} | ({80, 443} if one.host else set())
    if not ports or any(low <= port <= high for low, high in ports for port in own):
        return found
    why = f"{found.why} But it listens on none of the ports named."
    return Candidate(found.key, found.label, min(found.confidence, LIKELY), why)


def callers_for(term: Term, asker: Caller, callers: Iterable[Caller], placed: Iterable[Placed]) -> list[Candidate]:
    """Sources a term may mean, the likeliest first. ``callers`` are those a word of it may name, and the parties."""
    if term.anybody:
        return []
    known = list(callers)
    if term.blocks:
        return _best_first(_by_address(term, known))
    found: list[Candidate] = []
    if term.name in {"i", "me", "myself", "my laptop"}:
        found.append(Candidate(asker.key, asker.name, NAMED, "You asked."))
    found += [hit for one in known for hit in _names_caller(term, one)]
    services = [hit for one in placed if one.workload for hit in _workload_of(term, one)]
    return _best_first(_of_kind(term.kind, [*found, *services]))


def _of_kind(kind: str, found: list[Candidate]) -> list[Candidate]:
    """Only those of the kind that was written, where there are any."""
    return [one for one in found if kind and one.key.startswith(f"{kind}:")] or found


def _by_address(term: Term, known: Iterable[Caller]) -> Iterator[Candidate]:
    words = ", ".join(write(block) for block in term.blocks[:3])
    for one in known:
        if one.kind == "party" and one.blocks and all(covers(one.blocks, block) for block in term.blocks):
            yield Candidate(one.key, one.name, NAMED, f"{one.name} asked for {words} before.")


def _names_caller(term: Term, one: Caller) -> Iterator[Candidate]:
    kind = {"party": "outside party"}.get(one.kind, one.kind)
    if term.name == one.key.lower() or f"workload:{term.name}" == one.key.lower():
        yield Candidate(one.key, one.name, EXACT, f"{one.key} is its key.")
    elif one.email and term.name == one.email.lower():
        yield Candidate(one.key, one.name, NAMED, f"It is the mail address of {one.name}.")
    elif term.name == one.name.lower() or term.plain in {one.name.lower(), one.key.partition(":")[2].lower()}:
        yield Candidate(one.key, one.name, NAMED, f"There is a {kind} called {one.name}.")


def _workload_of(term: Term, one: Placed) -> Iterator[Candidate]:
    for hit in _names_service(term, one):
        why = f"The workload of the service {one.title}. {hit.why}"
        yield Candidate(one.workload, one.title, min(hit.confidence, NAMED), why)
