"""No page asks the database more than eight times, however much it shows, and none weighs more than 42 KB.

What compiles to show what would change asks more often, and says how often.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import resolve

from apps.access import services as access_services
from apps.access.models import AddressAsk, CleanUp, GuardedHost, StandingReview
from apps.audit.actors import SYSTEM
from apps.catalog.models import Service
from apps.firewall.models import FirewallRequest, RuleBase, RuleBaseCleaning, RuleBaseFinding, RuleBaseLine
from apps.identity import services
from apps.identity.models import DirectoryUser, Group, GroupRule, Provider, Subject
from apps.identity.proofs import bindings
from apps.identity.proofs.bindings import Outside
from apps.outbox.models import Message
from apps.rollout.models import AddressList
from tests.arch.url_matrix import MATRIX
from tests.factories import access, addresses, clusters, edges, firewall, identity, pages, rule_bases, upkeep

MOST_QUERIES, MOST_BYTES, MANY = 8, 42 * 1024, 50

COMPUTED = {
    "change what was asked": 18,
}
"""Pages that compile and replay: so many queries, and never more."""

# who looks, and at what; braces are filled in from the house
PAGES = {
    "home": ("ada", "/"),
    "home of an owner": ("ben", "/"),
    "catalogue": ("ada", "/catalogue/"),
    "service": ("ada", "/catalogue/payments/"),
    "around a service": ("ben", "/catalogue/payments/around/"),
    "traffic rules of a service": ("ada", "/catalogue/payments/traffic/"),
    "ask for a traffic rule": ("ben", "/requests/traffic?service=payments"),
    "import": ("olga", "/catalogue/import/"),
    "choose a service": ("ada", "/requests/new"),
    "ask": ("ada", "/requests/new?service=payments&method=POST&path=/refunds"),
    "ask for addresses": ("ada", "/requests/new/addresses?service=payments"),
    "request of an outside party": ("ben", "/requests/{outside}/"),
    "guarded hosts": ("cyd", "/settings/hosts/"),
    "stop guarding a host": ("cyd", "/settings/hosts/{host}/stop"),
    "outside parties": ("ada", "/settings/parties/"),
    "edge target with lists": ("olga", "/rollout/edge/"),
    "lists of an edge": ("olga", "/rollout/edge/lists/"),
    "what differs": ("olga", "/rollout/mesh/drift/"),
    "firewall requests": ("ada", "/firewall/"),
    "all firewall requests": ("cyd", "/firewall/?show=all"),
    "a new firewall request": ("ada", "/firewall/new"),
    "a firewall request": ("ada", "/firewall/{firewall}/"),
    "a line of it": ("ada", "/firewall/{firewall}/lines/1/"),
    "ways to open a line": ("ada", "/firewall/{firewall}/lines/1/ways/"),
    "giving a service up": ("ben", "/firewall/decommission/payments/"),
    "rule bases": ("ada", "/firewall/rulebases/"),
    "a rule base": ("ada", "/firewall/rulebases/{base}/"),
    "lines of it": ("ada", "/firewall/rulebases/{base}/lines/"),
    "lines to ask for": ("ada", "/firewall/rulebases/{base}/ask/?number=2&number=3"),
    "deleting one": ("ada", "/firewall/rulebases/{base}/delete"),
    "a clean-up": ("cyd", "/firewall/rulebases/cleanings/{cleaning}/"),
    "zones": ("cyd", "/firewall/zones/?source=shop&destination=shop"),
    "a zone": ("cyd", "/firewall/zones/shop/"),
    "copy access": ("ada", "/firewall/copy?from=payments"),
    "inbox": ("ben", "/requests/"),
    "waiting": ("ben", "/requests/waiting"),
    "mine": ("ada", "/requests/?show=mine"),
    "all": ("cyd", "/requests/?show=all"),
    "request": ("ben", "/requests/{asked}/"),
    "granted request": ("ada", "/requests/{granted}/"),
    "change what was asked": ("ada", "/requests/{asked}/change/"),
    "access": ("ada", "/access/"),
    "live": ("cyd", "/live/"),
    "my live": ("ada", "/live/"),
    "call": ("ada", "/live/{rid}/"),
    "rollout": ("olga", "/rollout/"),
    "target": ("olga", "/rollout/mesh/"),
    "connect a target": ("olga", "/rollout/edge/connect"),
    "add an edge": ("olga", "/rollout/add/edge"),
    "add a cluster": ("olga", "/rollout/add/cluster"),
    "a cluster": ("olga", "/rollout/cluster/"),
    "plan of a cluster": ("olga", "/rollout/cluster/plan/"),
    "migration of a cluster": ("olga", "/rollout/cluster/migration/"),
    "what a cluster takes": ("olga", "/rollout/cluster/settings"),
    "connect a cluster": ("olga", "/rollout/cluster/connect"),
    "a cluster with an agent": ("olga", "/rollout/inside/"),
    "the agent of a cluster": ("olga", "/rollout/inside/agent"),
    "drift of a cluster with an agent": ("olga", "/rollout/inside/drift/"),
    "what a cluster lets us do": ("olga", "/rollout/cluster/preflight/"),
    "what akamai lets us do": ("olga", "/rollout/edge/preflight/"),
    "edgeworker and edgekv": ("olga", "/rollout/edge/place"),
    "take out of akamai": ("olga", "/rollout/edge/leave"),
    "releases": ("olga", "/rollout/edge/releases/"),
    "a property": ("olga", "/rollout/edge/property/"),
    "an export": ("olga", "/rollout/edge/export/"),
    "log of an edge": ("olga", "/rollout/edge/log/"),
    "client certificate of an edge": ("olga", "/rollout/edge/certificate/"),
    "revision": ("olga", "/rollout/mesh/revisions/1/"),
    "audit": ("cyd", "/audit/"),
    "event": ("cyd", "/audit/1/"),
    "people": ("ada", "/settings/people/"),
    "teams": ("ada", "/settings/teams/"),
    "workloads": ("ada", "/settings/workloads/"),
    "agents": ("ada", "/settings/agents/"),
    "person": ("cyd", "/settings/who/person:ada/"),
    "team": ("ada", "/settings/who/team:payments/"),
    "agent": ("olga", "/settings/who/agent:release-bot/"),
    "agent of somebody": ("cyd", "/settings/who/agent:release-bot/"),
    "workload": ("olga", "/settings/who/{workload}/"),
    "agent for its owner": ("owner", "/settings/who/agent:release-bot/"),
    "sign out everywhere": ("cyd", "/settings/who/person:ada/sign-out-everywhere"),
    "left": ("cyd", "/settings/who/person:ada/left"),
    "aws": ("olga", "/settings/aws/"),
    "aws, some": ("olga", "/settings/aws/?q=role&show=free&kind=aws_role"),
    "aws role": ("olga", "/settings/aws/AROAEXAMPLE000000001/"),
    "add a proof": ("olga", "/settings/who/agent:release-bot/proofs?kind=jwt"),
    "issuers": ("olga", "/settings/issuers/"),
    "tokens": ("ada", "/settings/tokens/"),
    "own page": ("ada", "/settings/who/person:ada/"),
    "person for an administrator": ("olga", "/settings/who/person:ada/"),
    "providers": ("olga", "/settings/providers/"),
    "presets": ("olga", "/settings/providers/new/"),
    "add a provider": ("olga", "/settings/providers/new/?preset=okta_custom"),
    "provider": ("olga", "/settings/providers/acme/"),
    "change a provider": ("olga", "/settings/providers/acme/edit/"),
    "directories": ("olga", "/settings/directory/"),
    "directory": ("olga", "/settings/directory/okta/"),
    "identity store of aws": ("olga", "/settings/directory/aws/"),
    "add an identity store": ("olga", "/settings/identity-center/new/"),
    "scim log": ("olga", "/settings/directory/okta/log/"),
    "scim exchange": ("olga", "/settings/directory/log/{exchange}/"),
    "mapping": ("olga", "/settings/directory/other/rules/"),
    "a mapping to remove": ("olga", "/settings/directory/okta/rules/{mapping}/remove"),
    "rules": ("ada", "/settings/rules/"),
    "guardrails": ("ada", "/settings/guardrails/"),
    "a new rule": ("cyd", "/settings/rules/new/?sentence=x&slug=x&version=0&count=0&max_duration=8+hours"),
    "a rule": ("cyd", "/settings/rules/owner-approves/"),
    "a guardrail": ("cyd", "/settings/guardrails/agents-never-delete/"),
    "a new guardrail": ("cyd", "/settings/guardrails/new/?sentence=x&slug=x&version=0"),
    "map": ("ada", "/map/"),
    "map of a service": ("ada", "/map/payments/"),
    "upkeep": ("ben", "/settings/upkeep/"),
    "upkeep of everything": ("cyd", "/settings/upkeep/?safe=1"),
    "clean-ups": ("ben", "/settings/upkeep/clean-ups/"),
    "clean-up": ("ben", "/settings/upkeep/clean-ups/cu_1/"),
    "standing access": ("ben", "/settings/upkeep/standing/"),
    "open standing access": ("cyd", "/settings/upkeep/standing/?show=open"),
    "how often": ("cyd", "/settings/upkeep/schedule/"),
    "signals": ("eve", "/settings/signals/"),
    "a sender of signals": ("olga", "/settings/signals/okta/"),
    "outbox": ("olga", "/settings/outbox/"),
    "search": ("ada", "/search?q=pay"),
    "gallery": ("olga", "/settings/gallery/"),
    "reasons": ("ada", "/docs/reasons"),
    "sign-in": (None, "/sign-in/"),
    "to the edge": ("ada", f"/edge/sign-in?host=api.shop.localhost&challenge={'A' * 43}"),
}


def fill(there: pages.House) -> None:
    """Fifty of everything that is listed somewhere."""
    shop, at = there.shop, datetime.now(UTC)
    fill_directory(there.directory.provider, at)
    for number in range(MANY):
        person = identity.person(f"p{number:02}", teams=(shop.storefront,))
        made = access.service(f"svc{number:02}", team=shop.payments_team, doors=("mesh",))
        identity.agent(f"bot{number:02}", owner=shop.ada)
        identity.team(f"team{number:02}", members=(person,))
        identity.api_token(shop.ada, at=at)
        identity.provider(f"p{number:02}", issuer=f"https://p{number:02}.test")
        identity.login(shop.ada, issuer=f"https://p{number:02}.test")
        key = Outside(kind="aws_role", account="123456789012", name=f"role{number:02}")
        bindings.bind(subject_key=shop.bot.key, outside=key, actor=SYSTEM, at=at)
        access.ask(person, to=made.slug, at=at)
        open_to(person, "payments", shop.ben, number, at)
        open_to(shop.ada, made.slug, shop.ben, number, at)
        pages.revise(there.target, number + 2, at)
        pages.principal(f"AROAEXAMPLE1{number:08d}", name=f"role{number:02}", at=at)
        sign_in(shop.ada, at)
        DirectoryUser.objects.create(
            provider=there.directory.provider,
            scim_id=uuid4(),
            user_name=f"u{number}",
            user_name_key=f"u{number}",
            subject=person,
            created_at=at,
            updated_at=at,
        )
    Message.objects.bulk_create(
        Message(topic="access.grant.changed", key=f"g_{n}", state="dead", available_at=at, created_at=at)
        for n in range(MANY)
    )
    for person in Subject.objects.filter(kind="person"):
        pages.received(there.provider, person, at)
    pages.call(shop.ada, at=at - timedelta(minutes=1), rids=[uuid4().hex for _ in range(MANY)])


def open_to(who: Subject, service: str, reviewer: Subject, number: int, at: datetime) -> None:
    """Every fifth was asked for; the others stand by themselves, which is far quicker to make."""
    if number % 5 == 0:
        access.active_grant(who, reviewer, to=service, routes=("read",), at=at)
        return
    given = {"subject_key": who.key, "service_slug": service, "route_keys": ["read"], "at": at}
    made = access_services.create_standing_grant(actor=SYSTEM, **given)
    access_services.activate(grant_id=made.public_id, at=at)


def sign_in(who: Subject, at: datetime) -> None:
    session = SessionStore()
    session.create()
    services.note_sign_in(subject=who, way="demo", session_key=str(session.session_key), at=at)


def fill_directory(provider: Provider, at: datetime) -> None:
    for number in range(MANY):
        pages.exchange(provider, at)
        name = f"group{number:02}"
        Group.objects.create(provider=provider, origin="scim", scim_id=uuid4(), name=name, created_at=at, updated_at=at)
        GroupRule.objects.create(
            provider=Provider.objects.get(slug="other"),
            match="exact",
            pattern=name,
            team=identity.team(name),
            team_role="member",
            created_at=at,
        )


def widen_rule_base(there: pages.House) -> None:
    """More of all that a rule base has, and more of them."""
    shop, at = there.shop, datetime.now(UTC)
    base = RuleBase.objects.earliest("pk")
    row = base.lines.earliest("pk")
    for number in range(100, 100 + MANY):
        row.pk, row.place, row.number = None, number, number
        RuleBaseLine.objects.bulk_create([row])
        RuleBaseFinding.objects.create(base=base, code="redundant", number=number, involved=[2, 3], sentence="So.")
    quiet = [RuleBase(public_id=f"rb_{n}", name=f"Firewall {n}", taken_by=shop.ada, taken_at=at, format="table",
                      semantics="additive", text="x") for n in range(MANY)]  # fmt: skip
    RuleBase.objects.bulk_create(quiet)
    RuleBaseCleaning.objects.update(dropped=list(range(100, 100 + MANY)))


def open_outside(there: pages.House, number: int) -> None:
    """Guarded hosts, their lists, and outside parties that ask for them."""
    shop, at = there.shop, datetime.now(UTC)
    addresses.guard("198.51.100.0/24", at=at)
    target = edges.address_list(at).target
    clusters.cluster_target(at)
    clusters.pulled_target(at)
    for count in range(number):
        party = addresses.party(shop.ada, shop.storefront, f"Partner {count:02}", at=at)
        if not AddressAsk.objects.filter(request__subject=party).exists():
            addresses.ask(shop.ada, party, f"203.0.113.{count}", at=at)
        host = f"h{count:02}.shop.localhost"
        addresses.guard(host=host, at=at)
        made = {"retry_at": at, "created_at": at, "entries": [{"value": "203.0.113.0/28", "grants": ["g_1"]}]}
        AddressList.objects.get_or_create(target=target, host=host, defaults=made)


def write_firewall(there: pages.House, number: int) -> None:
    """Of each kind of line one, or many; zones; and more requests."""
    shop, at = there.shop, datetime.now(UTC)
    firewall.zone("shop", namespaces=["shop"], kinds=["person"])
    lines = [firewall.written(shop.ada.key, path="/refunds"), firewall.written("any")]
    for _ in range(max(number // 10, 1)):
        firewall.request(shop.ada, *lines * max(number // 2, 1), at=at)


def tidy(there: pages.House, number: int) -> None:
    """Findings, clean-ups and questions about standing access."""
    shop, at = there.shop, datetime.now(UTC)
    upkeep.clean_up(shop, at)
    upkeep.question(shop, at)
    if not Service.objects.filter(slug="tidied").exists():
        access.service("tidied", team=shop.payments_team, doors=("mesh",))
    for count in range(number):
        upkeep.finding(shop, at, count)
        holder = Subject.objects.filter(kind="person").order_by("key")[count + (number > 1)]
        given = {"subject_key": holder.key, "service_slug": "tidied", "route_keys": ["read"], "at": at}
        made = access_services.create_standing_grant(actor=SYSTEM, **given)
        access_services.activate(grant_id=made.public_id, at=at)
        row = CleanUp.objects.create(
            public_id=f"cu_{uuid4().hex[:12]}",
            service=made.service,
            environment=made.environment,
            proposer=shop.cyd,
            safe=True,
            reason="Twice.",
            created_at=at,
        )
        row.grants.set([made])
        due = at + timedelta(days=14)
        StandingReview.objects.create(
            public_id=f"sr_{uuid4().hex[:12]}", grant=made, cause="schedule", opened_at=at, due_at=due
        )


def visitors(there: pages.House) -> dict[str | None, Client]:
    """Each is signed in once, as people are."""
    people = {"olga": there.olga, "ada": there.shop.ada, "ben": there.shop.ben, "cyd": there.shop.cyd}
    people["eve"] = there.shop.eve
    people["owner"] = there.shop.bot.owner or there.olga
    return {None: Client(), **{name: pages.signed_in(person) for name, person in people.items()}}


def look(there: pages.House, client: Client, path: str) -> tuple[int, int]:
    """Queries and bytes of a page."""
    granted = there.grant.request
    assert granted is not None
    address = path.format(
        asked=there.asked.public_id,
        granted=granted.public_id,
        rid=there.rid,
        exchange=there.directory.exchange.pk,
        outside=AddressAsk.objects.earliest("pk").request.public_id,
        firewall=FirewallRequest.objects.latest("pk").public_id,
        base=RuleBaseCleaning.objects.earliest("pk").base.public_id,
        cleaning=RuleBaseCleaning.objects.earliest("pk").public_id,
        host=GuardedHost.objects.earliest("pk").pk,
        mapping=there.directory.rule.pk,
        workload=Subject.objects.filter(kind="workload").earliest("key").key,
    )
    with CaptureQueriesContext(connection) as asked:
        answer = client.get(address)
    assert answer.status_code == 200, (path, answer.status_code)
    return len(asked), len(answer.content)


def test_every_page_is_cheap_with_little_and_costs_the_same_with_much(house: pages.House) -> None:
    access_services.ensure_default_rules(at=access.AT)
    identity.directory("other")
    edges.property_change(datetime.now(UTC))
    open_outside(house, 1)
    write_firewall(house, 1)
    rule_bases.proposed(house.shop.ada, datetime.now(UTC))
    edges.edge_stream(datetime.now(UTC), secrets=2)
    edges.origin_certificate(datetime.now(UTC))
    pages.guardrail()
    tidy(house, 1)
    clients = visitors(house)
    few = {name: look(house, clients[who], path) for name, (who, path) in PAGES.items()}
    assert {name: cost for name, cost in few.items() if cost[0] > COMPUTED.get(name, MOST_QUERIES)} == {}
    fill(house)
    open_outside(house, MANY)
    write_firewall(house, MANY)
    widen_rule_base(house)
    tidy(house, MANY)
    many = {name: look(house, clients[who], path) for name, (who, path) in PAGES.items()}
    dear = {name: cost[0] for name, cost in many.items() if cost[0] > COMPUTED.get(name, MOST_QUERIES)}
    assert dear == {}
    assert {name: cost[1] for name, cost in many.items() if cost[1] > MOST_BYTES} == {}
    assert {name: (few[name][0], cost[0]) for name, cost in many.items() if cost[0] > few[name][0]} == {}


NO_PAGES = re.compile(r".*(events|stream|export|health.*|jwks|metadata|_text|_cleaned)")
"""Streams, files, and what machines read."""


def test_every_page_has_a_budget() -> None:
    filled = {"outside": "x", "firewall": "x", "base": "x", "cleaning": "x", "asked": "x", "granted": "x", "host": 1}
    filled |= {"rid": "0" * 32, "exchange": 1, "mapping": 1, "workload": "workload:x"}
    budgeted = {resolve(urlsplit(path.format(**filled)).path).view_name for _, path in PAGES.values()}
    pages = {name for name, row in MATRIX.items() if row.method == "get" and row.right == 200}
    found = {name for name in pages - budgeted if not name.startswith("api:") and not NO_PAGES.fullmatch(name)}
    assert found == set()


@pytest.mark.parametrize("path", ["/requests/{asked}/", "/"])
def test_a_fragment_costs_no_more_than_its_page(
    house: pages.House, browse: Callable[[Subject], Client], path: str
) -> None:
    client = browse(house.shop.ben)
    address = path.format(asked=house.asked.public_id)
    whole = client.get(address)
    part = client.get(address, headers={"HX-Request": "true", "HX-Target": "moving"})
    assert part.status_code == whole.status_code == 200
    assert len(part.content) <= len(whole.content)
