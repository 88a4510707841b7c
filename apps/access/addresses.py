"""Reading the addresses somebody asks for, and the host they are to reach. What is impossible is refused in words."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings

from apps.access import carriers, policies, refusals
from apps.access.asks import Target, fingerprint, read_target
from apps.access.models import GuardedHost
from apps.catalog import selectors as catalog
from apps.compiler.addresses import BadBlock, Block, Limits, complaint, merge, read_block, write
from apps.compiler.graph import Point, SubjectKind
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.catalog.models import Environment
    from apps.identity.models import Subject

MEANING = (
    "An address is not an identity. This opens one door only, the list of addresses in front of {host}: calls from"
    " there come as far as the token check, which applies as ever. Nobody passes by an address alone."
)
TEXT_LENGTH = 4000
MOST_ALWAYS = 200
_APART = re.compile(r"[\s,;]+")
_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{1,63}")


@dataclass(frozen=True, slots=True)
class Addressed:
    """What an outside party is to reach: ``target`` with all its routes, since a list knows hosts and no routes."""

    target: Target
    host: str
    blocks: tuple[Block, ...]

    @property
    def values(self) -> list[str]:
        return [write(block) for block in self.blocks]

    @property
    def meaning(self) -> str:
        return MEANING.format(host=self.host)

    def fingerprint(self, party: Subject) -> str:
        """Whom for, what, and from where."""
        parts = [fingerprint(party, self.target), self.host, *self.values]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def limits() -> Limits:
    """The demo's edge is on this machine, and so are those who call it."""
    return Limits(
        widest_v4=settings.SALLYPORT_ADDRESS_WIDEST_V4,
        widest_v6=settings.SALLYPORT_ADDRESS_WIDEST_V6,
        loopback=settings.SALLYPORT_DEMO,
    )


def read_blocks(text: str, allowed: Limits | None = None, *, field: str = "addresses") -> tuple[Block, ...]:
    """Addresses and blocks as people list them, merged; raises BadAddresses with a complaint for each that is wrong."""
    known = allowed or limits()
    words = [word for word in _APART.split(text[: TEXT_LENGTH + 1]) if word]
    if not words:
        raise refusals.BadAddresses(fields={field: ["Write at least one address, such as 203.0.113.7."]})
    if len(words) > known.most or len(text) > TEXT_LENGTH:
        raise refusals.BadAddresses(fields={field: [f"At most {known.most} addresses and blocks at once."]})
    blocks: list[Block] = []
    complaints: list[str] = []
    for word in words:
        try:
            block = read_block(word)
        except BadBlock as error:
            complaints.append(str(error))
            continue
        blocks.append(block)
        complaints += [said] if (said := complaint(block, known)) else []
    if complaints:
        raise refusals.BadAddresses(" ".join(complaints[:3]), fields={field: complaints})
    return merge(blocks)


def read_host(text: str) -> str:
    host = text.strip().lower()
    if not _HOST.fullmatch(host):
        complaint_ = "Write a host name, such as api.example.com."
        raise refusals.BadHost(complaint_, fields={"host": [complaint_]})
    return host


def sponsored(actor: Subject, party_key: str) -> Subject:
    """A party that a team of ``actor`` answers for; raises NotYourSubject for any other, known or not."""
    policies.require_active(actor)
    party = identity.find_subject(party_key)
    mine = identity.list_parties_of(actor) if actor.kind == SubjectKind.PERSON else ()
    if party is None or party not in mine:
        raise refusals.NotYourSubject("You can ask for outside parties that a team of yours answers for.")
    return party


def read_addressed(party: Subject, *, service_slug: str, addresses: str, environment: str | None = None) -> Addressed:
    """Raises BadAddresses, HostUnguarded, ListsNotKept, NoEdgeHost and what ``read_target`` raises."""
    service = catalog.get_service(service_slug)
    where = catalog.get_environment(environment)
    shape = catalog.graph_services([service_slug], where.slug).get(service_slug)
    if shape is not None and shape.edge is None:
        raise refusals.NoEdgeHost
    require_kept(where)
    target = read_target(
        subject=party,
        service_slug=service_slug,
        route_keys=[route.key for route in catalog.list_routes(service)],
        points=[Point.EDGE],
        environment=environment,
    )
    return Addressed(target=target, host=guarded_host_of(target), blocks=read_blocks(addresses))


def guarded_host_of(target: Target) -> str:
    """The host a list can guard for a service; raises NoEdgeHost or HostUnguarded."""
    edge = target.shape.edge
    if edge is None:
        raise refusals.NoEdgeHost
    require_guarded(target.environment, edge.host)
    return edge.host


def require_kept(environment: Environment) -> None:
    """Raises ListsNotKept."""
    if not carriers.keeps_lists(environment.slug):
        raise refusals.ListsNotKept


def require_guarded(environment: Environment, host: str) -> None:
    if not GuardedHost.objects.filter(environment=environment, host=host).exists():
        raise refusals.HostUnguarded(
            f"{host} is not guarded by a list: any address reaches its token check already. There is nothing to open."
        )
