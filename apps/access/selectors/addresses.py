"""Reading what is open to addresses: the graph behind the lists, and what an ask would add to it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet

from apps.access.addresses import MEANING, Addressed, read_addressed, sponsored
from apps.access.judging import judge_risk
from apps.access.models import AccessRequest, AddressAsk, Grant, GrantDoor, GuardedHost
from apps.access.risk import Risk
from apps.access.rules import Need
from apps.access.selectors.graph import seconds
from apps.access.states import BUSY_DOORS, LIVE_GRANTS, RequestState
from apps.access.weighing import Weighed, span, weigh
from apps.audit.errors import NotFound
from apps.catalog import selectors as catalog
from apps.compiler import address_lists as lists
from apps.compiler.addresses import covers
from apps.compiler.words import listed

if TYPE_CHECKING:
    from apps.catalog.models import Environment
    from apps.identity.models import Subject

SLACK = 3600
"""Seconds by which an entry may outlast its grant, if nobody were left to take it out. See ``address_graph``."""


def list_guarded_hosts(environment_slug: str | None = None) -> QuerySet[GuardedHost]:
    rows = GuardedHost.objects.select_related("environment").order_by("environment__slug", "host")
    return rows if environment_slug is None else rows.filter(environment__slug=environment_slug)


def get_guarded_host(host_id: int) -> GuardedHost:
    row = list_guarded_hosts().filter(pk=host_id).first()
    if row is None:
        raise NotFound
    return row


def count_address_uses(*, environment: Environment, host: str) -> int:
    """Grants to addresses at a host that are not over, and requests for one that are not decided."""
    asks = AddressAsk.objects.filter(host=host, request__environment=environment)
    going = Q(request__state=RequestState.PENDING) | Q(request__grant__state__in=LIVE_GRANTS)
    return asks.filter(going).count()


def list_address_hosts(grant_ids: Collection[str]) -> frozenset[str]:
    """The hosts that those of these grants open which are grants to addresses."""
    asks = AddressAsk.objects.filter(request__grant__public_id__in=grant_ids)
    return frozenset(asks.values_list("host", flat=True))


def address_graph(*, environment_slug: str, at: datetime) -> lists.AddressGraph:
    """Guarded hosts and what is open to addresses, in two queries.

    Until it is proven, a grant's end is not known: its entry is given the longest it could be, an hour to open in
    included. Once it is, that entry may stay: it ends at most ``SLACK`` late by itself, and the rollout takes it out
    in time.
    """
    hosts = {row.host: lists.GuardedHost(row.host, lists.blocks_of(row.always)) for row in _hosts(environment_slug)}
    asks = AddressAsk.objects.filter(
        host__in=hosts, request__grant__state__in=LIVE_GRANTS, request__grant__environment__slug=environment_slug
    )
    found = asks.exclude(request__grant__ends_at__lte=at).exclude(request__subject__state="suspended")
    rows = found.select_related("request__grant").order_by("request__grant__public_id")
    return lists.AddressGraph(hosts, tuple(_opening(ask, ask.request.grant) for ask in rows))


def _hosts(environment_slug: str) -> QuerySet[GuardedHost]:
    return GuardedHost.objects.filter(environment__slug=environment_slug).order_by("host")


def _opening(ask: AddressAsk, grant: Grant) -> lists.Opening:
    begins = grant.starts_at or grant.approved_at
    ends = seconds(grant.ends_at) if grant.ends_at else longest(grant.approved_at, grant.duration)
    return lists.Opening(grant.public_id, ask.host, lists.blocks_of(ask.blocks), seconds(begins), ends)


def longest(approved_at: datetime, duration: int | None) -> int | None:
    """When what is not proven yet ends at the latest."""
    return None if duration is None else seconds(approved_at) + duration + SLACK


def list_address_doors(*, environment_slug: str, host: str) -> QuerySet[GrantDoor]:
    """Doors of grants to addresses at a host that are not yet proven or closed."""
    return (
        GrantDoor.objects.filter(
            state__in=BUSY_DOORS,
            grant__environment__slug=environment_slug,
            grant__request__addresses__host=host,
        )
        .select_related("grant__request__addresses", "grant__subject", "grant__service", "grant__environment")
        .order_by("pk")
    )


@dataclass(frozen=True, slots=True)
class AddressPreview:
    """What asking would mean. ``sharing`` are other services behind the same host, which are reached as well."""

    asked: Addressed
    weighed: Weighed
    risk: Risk
    duration: int
    changes: tuple[str, ...]
    already: tuple[str, ...]
    sharing: tuple[str, ...]

    @property
    def max_duration_words(self) -> str:
        return span(self.weighed.resolution.max_duration)

    @property
    def approvals(self) -> list[tuple[str, str, int, list[str]]]:
        """Name, why, how many, and who could."""
        pairs = zip(self.weighed.resolution.needs, self.weighed.able, strict=True)
        return [(need.name, need.sentence, need.count, [one.name for one in able.values()]) for need, able in pairs]


def preview_addresses(
    *,
    actor: Subject,
    party_key: str,
    service_slug: str,
    addresses: str,
    duration: int,
    environment: str | None = None,
    demands: Sequence[Need] = (),
    at: datetime,
) -> AddressPreview:
    """As ``preview``, for an outside party's addresses. Nothing is written."""
    party = sponsored(actor, party_key)
    asked = read_addressed(party, service_slug=service_slug, addresses=addresses, environment=environment)
    now = address_graph(environment_slug=asked.target.environment.slug, at=at)
    return AddressPreview(
        asked=asked,
        weighed=weigh(requester=actor, subject=party, target=asked.target, duration=duration, demands=demands),
        risk=judge_risk(party, asked.target, duration),
        duration=duration,
        changes=tuple(opening_words(party.name, asked.host, asked.values, duration)),
        already=tuple(_already(now, asked, seconds(at))),
        sharing=sharing(asked.host, asked.target.environment.slug, but=asked.target.service.slug),
    )


def list_addresses_asked(party_keys: Collection[str]) -> dict[str, list[str]]:
    """The blocks that were asked for before, by the key of the party."""
    rows = AddressAsk.objects.filter(request__subject__key__in=party_keys).order_by("pk")
    found: dict[str, list[str]] = {}
    for key, blocks in rows.values_list("request__subject__key", "blocks"):
        found.setdefault(key, []).extend(blocks)
    return found


def opening_words(party: str, host: str, values: Sequence[str], duration: int) -> Iterator[str]:
    yield f"Calls from {listed(values)} ({party}) may come as far as the token check of {host}, for {span(duration)}."


def _already(now: lists.AddressGraph, asked: Addressed, at: int) -> Iterator[str]:
    entries = lists.items(now, asked.host, at)
    for block, value in zip(asked.blocks, asked.values, strict=True):
        covering = [item for item in entries if covers([item.block], block)]
        if covering:
            yield f"{value} is on the list already: {listed(lists.sentence(item) for item in covering)}."


def sharing(host: str, environment_slug: str, *, but: str) -> tuple[str, ...]:
    """Titles of the other services behind a host: a list cannot tell them apart."""
    shapes = catalog.graph_services(None, environment_slug).values()
    return tuple(sorted(one.name for one in shapes if one.id != but and one.edge is not None and one.edge.host == host))


def addresses_of(request: AccessRequest) -> AddressAsk | None:
    """None for a request that is not about addresses."""
    if request.subject.kind != "party":
        return None
    return getattr(request, "addresses", None)


def meaning_of(request: AccessRequest) -> str:
    """What an opening to addresses means, for a request of that kind; else empty."""
    ask = addresses_of(request)
    return MEANING.format(host=ask.host) if ask else ""
