"""The edge's client certificate: made at Akamai, signed by us, named by the property, renewed with overlap."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from apps.audit.actors import Actor
from apps.audit.errors import InvalidInput
from apps.audit.models import Event
from apps.rollout.drivers.akamai.rules import Attached, certificate_of, difference, is_renewal, with_our_rule
from apps.rollout.models import Allowance, OriginCertificate, PendingChange, PropertyChange, Target
from apps.rollout.services import moving
from apps.rollout.services.akamai import (
    attaching,
    attaching_steps,
    budgets,
    origin_certificate_steps,
    origin_certificates,
)
from apps.rollout.services.akamai.attaching import PersonNeeded
from apps.rollout.services.akamai.origin_certificates import CertificateInput
from apps.rollout.services.targets import BadTarget
from apps.trust.models import Certificate
from tests.factories import access as factory
from tests.localedge.standin import StandIn
from tests.rollout.akamai.test_attaching import accept, agree, live, work
from tests.rollout.world import EDGE, Hands, edge_spec, make_target, mesh_spec

pytestmark = pytest.mark.django_db

OLGA = Actor("person:olga", "Olga")
BOT = Actor("agent:bot", "Bot")
HOST = "api.shop.localhost"
CERTIFICATES = "/mtls-origin-keystore/v1/client-certificates"


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def target(standin: StandIn, hands: Hands) -> Target:
    """An edge that is set up, and a mesh that is up to date."""
    factory.shop()
    make_target(mesh_spec())
    made = make_target(edge_spec(standin.control))
    assert moving.set_up(target=made, at=hands.clock())
    catch_up()
    return Target.objects.get(slug="edge")


def catch_up() -> None:
    """What the nodes of the mesh do by themselves."""
    PendingChange.objects.all().delete()
    Target.objects.filter(slug="mesh").update(latest_number=1, active_number=1)


def ask(hands: Hands, *, standing: bool = False, actor: Actor = OLGA) -> OriginCertificate:
    given = CertificateInput(HOST, "ops@shop.test", standing)
    return origin_certificates.ask(slug="edge", given=given, actor=actor, at=hands.clock())


def go(hands: Hands, steps: int = 60) -> OriginCertificate:
    """What the worker does until it only waits for others: for a person, or for the next look in an hour."""
    looks = 0
    for _ in range(steps):
        row = OriginCertificate.objects.get()
        if not origin_certificate_steps.run(row_id=row.pk, clock=hands.clock):
            looks += PropertyChange.objects.filter(state__in=["planned", "warned"]).exists()
            if looks > 2 or row.retry_at - hands.clock() > timedelta(minutes=10):
                break
            hands.push(seconds=11)
        for change in PropertyChange.objects.filter(state__in=["asked", "writing", "staging", "production"]):
            work(change, hands)
    return OriginCertificate.objects.get()


def in_use(hands: Hands, *, standing: bool = False) -> OriginCertificate:
    """Made, and live with a person's yes."""
    ask(hands, standing=standing)
    go(hands)
    accept(agree(PropertyChange.objects.get(), hands), hands)
    return go(hands)


def versions(standin: StandIn, row: OriginCertificate) -> list[dict[str, Any]]:
    rows = standin.call("GET", f"{CERTIFICATES}/{row.certificate_id}/versions").json()["versions"]
    return [one for one in rows if one["versionAlias"] is None]


def shown(standin: StandIn, network: str = "production") -> str:
    return certificate_of(live(standin, network), Attached("edge", 1, ()).mark)


def expires(row: OriginCertificate) -> datetime:
    assert row.deployed_until is not None
    return row.deployed_until


@pytest.mark.usefixtures("target")
def test_it_is_signed_by_our_authority_for_the_edges_workload_and_thirty_days(standin: StandIn, hands: Hands) -> None:
    ask(hands)
    row = go(hands)
    (version,) = versions(standin, row)
    assert (version["status"], version["versionGuid"]) == ("DEPLOYED", row.deployed_guid)
    signed = x509.load_pem_x509_certificate(version["certificateBlock"]["certificate"].encode())
    names = signed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [EDGE]
    assert timedelta(days=29) < signed.not_valid_after_utc - hands.clock() <= timedelta(days=30)
    issued = Certificate.objects.get(node="akamai:edge")
    assert (issued.workload, issued.not_after) == (EDGE, signed.not_valid_after_utc)
    assert expires(row) == signed.not_valid_after_utc


@pytest.mark.usefixtures("target")
def test_the_property_is_changed_only_when_a_person_saw_what_would_change(standin: StandIn, hands: Hands) -> None:
    ask(hands, standing=True)
    row = go(hands)
    change = PropertyChange.objects.get()
    assert change.state == "planned"
    assert f'"clientCertificateVersionGuid": "{row.deployed_guid}"' in change.diff
    assert '"authClientCert": true' in change.diff
    assert (shown(standin), row.bound_guid) == ("", "")
    accept(agree(change, hands), hands)
    row = go(hands)
    assert shown(standin) == shown(standin, "staging") == row.bound_guid == row.deployed_guid
    assert Event.objects.filter(action="rollout.origin_certificate.shown").count() == 1


@pytest.mark.usefixtures("target")
def test_ten_days_before_the_end_the_next_is_everywhere_before_the_last_one_goes(
    standin: StandIn, hands: Hands
) -> None:
    row = in_use(hands, standing=True)
    first = row.bound_guid
    hands.push(days=19)
    assert go(hands).bound_guid == first
    assert len(versions(standin, row)) == 1
    hands.push(days=2)
    row = go(hands)
    second = row.bound_guid
    assert (shown(standin), row.deployed_guid) == (second, second)
    assert second != first
    assert [one["versionGuid"] for one in versions(standin, row)] == [second, first]
    hands.push(hours=25)
    row = go(hands)
    assert [one["versionGuid"] for one in versions(standin, row)] == [second]
    assert expires(row) - hands.clock() > timedelta(days=28)


@pytest.mark.usefixtures("target")
def test_a_renewal_goes_by_itself_only_when_a_person_agreed_in_advance_and_that_is_recorded(
    standin: StandIn, hands: Hands
) -> None:
    first = in_use(hands, standing=True).bound_guid
    hands.push(days=21)
    assert go(hands).bound_guid != first
    agreed = Event.objects.filter(action="rollout.property.agreed").order_by("seq").last()
    assert agreed is not None
    assert (agreed.actor_id, agreed.after["agreed_in_advance_by"]) == ("system", "Olga")
    assert is_renewal(PropertyChange.objects.order_by("-pk")[0].diff)


@pytest.mark.usefixtures("target")
def test_a_warning_nobody_has_accepted_waits_for_a_person(standin: StandIn, hands: Hands) -> None:
    first = in_use(hands, standing=True).bound_guid
    PropertyChange.objects.update(accepted=[])
    hands.push(days=21)
    row = go(hands)
    change = PropertyChange.objects.order_by("-pk")[0]
    assert (change.state, row.bound_guid) == ("warned", first)
    accept(change, hands)
    assert go(hands).bound_guid == shown(standin) != first


@pytest.mark.usefixtures("target")
def test_without_that_a_person_looks_each_time(standin: StandIn, hands: Hands) -> None:
    first = in_use(hands).bound_guid
    hands.push(days=21)
    row = go(hands)
    change = PropertyChange.objects.order_by("-pk")[0]
    assert (change.state, shown(standin), row.bound_guid) == ("planned", first, first)
    assert agree(change, hands).state == "warned"


@pytest.mark.usefixtures("target")
def test_what_changes_more_than_the_version_is_never_agreed_to_in_advance(standin: StandIn, hands: Hands) -> None:
    first = in_use(hands, standing=True).bound_guid
    worker = Target.objects.get(slug="edge")
    worker.facts["edgeworker_id"] = standin.new_id()
    worker.save()
    hands.push(days=21)
    assert go(hands).bound_guid == first
    change = PropertyChange.objects.order_by("-pk")[0]
    assert (change.state, is_renewal(change.diff)) == ("planned", False)


@pytest.mark.usefixtures("target")
def test_the_edge_does_not_show_what_the_mesh_does_not_know(hands: Hands) -> None:
    Target.objects.filter(slug="mesh").update(latest_number=2)
    ask(hands)
    row = go(hands, steps=10)
    assert row.waiting_for == "Mesh does not know the new certificate yet."
    assert PropertyChange.objects.count() == 0
    catch_up()
    go(hands)
    assert PropertyChange.objects.get().state == "planned"


@pytest.mark.usefixtures("target")
def test_its_activations_count_against_the_budget_and_wait_for_room(standin: StandIn, hands: Hands) -> None:
    row = in_use(hands)
    spent = Allowance.objects.get(kind=budgets.PROPERTY_ACTIVATIONS)
    assert sum(int(amount) for _, amount in spent.spent) == budgets.KINDS[spent.kind].default - outlook(row, hands)
    Allowance.objects.filter(pk=spent.pk).update(limit=1)
    assert outlook(row, hands) == 0
    assert not origin_certificates.outlook(row, at=hands.clock()).fits
    origin_certificates.renew(slug="edge", actor=OLGA, at=hands.clock())
    go(hands)
    change = PropertyChange.objects.order_by("-pk")[0]
    attaching.agree(change_id=change.pk, shown=change.base_etag, actor=OLGA, at=hands.clock())
    for _ in range(5):
        from_step(change, hands)
    change.refresh_from_db()
    assert "Property activations, a day: 1 are used up." in change.events[-1]["text"]


def outlook(row: OriginCertificate, hands: Hands) -> int:
    return origin_certificates.outlook(row, at=hands.clock()).room


def from_step(change: PropertyChange, hands: Hands) -> None:
    attaching_steps.run(change_id=change.pk, clock=hands.clock)
    change.refresh_from_db()
    if change.state == "warned":
        named = [one["id"] for one in change.warnings]
        attaching.accept_warnings(change_id=change.pk, named=named, actor=OLGA, at=hands.clock())


@pytest.mark.usefixtures("target")
def test_a_dropped_change_is_not_asked_for_again_until_somebody_wants_it(hands: Hands) -> None:
    ask(hands)
    go(hands)
    attaching.drop(change_id=PropertyChange.objects.get().pk, actor=OLGA, at=hands.clock())
    go(hands, steps=6)
    assert PropertyChange.objects.count() == 1
    origin_certificates.plan_again(slug="edge", actor=OLGA, at=hands.clock())
    go(hands)
    assert PropertyChange.objects.count() == 2


def until(state: str, hands: Hands) -> PropertyChange:
    """What workers do until the newest change of the property is in this state."""
    for _ in range(300):
        change = PropertyChange.objects.order_by("-pk")[0]
        if change.state == state:
            return change
        stepped = origin_certificate_steps.run(row_id=OriginCertificate.objects.get().pk, clock=hands.clock)
        if not (stepped or attaching_steps.run(change_id=change.pk, clock=hands.clock)):
            hands.push(seconds=11)
    raise AssertionError(f"it stays {change.state}")


@pytest.mark.usefixtures("target")
def test_an_activation_that_fails_half_way_takes_neither_certificate_away_and_is_made_again(
    standin: StandIn, hands: Hands
) -> None:
    row = in_use(hands, standing=True)
    first = row.bound_guid
    hands.push(days=21)
    until("production", hands)
    standin.faults(property_results=["FAILED"])
    failed = until("failed", hands)
    row = go(hands)
    second = row.deployed_guid
    assert "on production ended as FAILED" in failed.error
    assert (shown(standin, "staging"), shown(standin), row.bound_guid) == (second, first, first)
    hands.push(hours=5)
    go(hands)
    assert PropertyChange.objects.order_by("-pk")[0] == failed, "it is left alone for a while"
    assert [one["versionGuid"] for one in versions(standin, row)] == [second, first]
    hands.push(hours=1)
    assert go(hands).bound_guid == shown(standin) == second
    hands.push(hours=25)
    go(hands)
    assert [one["versionGuid"] for one in versions(standin, row)] == [second]


@pytest.mark.usefixtures("target")
def test_while_a_person_is_waited_for_akamai_is_left_in_peace(hands: Hands) -> None:
    ask(hands)
    go(hands)
    assert PropertyChange.objects.get().state == "planned"
    assert OriginCertificate.objects.get().retry_at - hands.clock() > timedelta(seconds=20)


@pytest.mark.usefixtures("target")
def test_one_that_production_shows_to_its_end_is_told_of_whatever_is_ready(hands: Hands) -> None:
    row = in_use(hands)
    ends = expires(row)
    hands.push(days=21)
    row = go(hands)
    assert (origin_certificates.shown_until(row), expires(row) > ends) == (ends, True)
    soon = ends - origin_certificates.WARN_BEFORE
    assert origin_certificates.list_ending(at=soon - timedelta(minutes=1)) == []
    assert origin_certificates.list_ending(at=soon) == [row]


@pytest.mark.usefixtures("target")
def test_a_certificate_that_akamai_does_not_know_any_more_is_looked_for_by_its_name(
    standin: StandIn, hands: Hands
) -> None:
    row = in_use(hands)
    standin.faults(rules=[{"method": "GET", "path": ".*/client-certificates/.*/versions", "status": 404}])
    hands.push(hours=2)
    found = go(hands)
    assert (found.certificate_id, found.bound_guid, found.error) == (row.certificate_id, row.bound_guid, "")
    assert PropertyChange.objects.count() == 1


@pytest.mark.usefixtures("target")
def test_a_worker_that_dies_anywhere_is_made_good(standin: StandIn, hands: Hands) -> None:
    """After each step the row is put back as it was before it."""
    ask(hands)
    for _ in range(6):
        before = OriginCertificate.objects.values().get()
        origin_certificate_steps.run(row_id=before["id"], clock=hands.clock)
        kept = {name: value for name, value in before.items() if name not in ("id", "retry_at")}
        OriginCertificate.objects.update(**kept, retry_at=hands.clock())
        origin_certificate_steps.run(row_id=before["id"], clock=hands.clock)
        hands.push(seconds=11)
    row = go(hands)
    assert [one["status"] for one in versions(standin, row)] == ["DEPLOYED"]
    assert len(standin.call("GET", CERTIFICATES).json()["certificates"]) == 2
    assert PropertyChange.objects.count() == 1


def test_without_a_mesh_that_knows_its_edge_nothing_is_signed(standin: StandIn, hands: Hands) -> None:
    factory.shop()
    made = make_target(edge_spec(standin.control))
    assert moving.set_up(target=made, at=hands.clock())
    ask(hands)
    row = go(hands, steps=6)
    assert "names the workload of its edge (edge_workload)." in row.error
    assert Certificate.objects.count() == 0


@pytest.mark.usefixtures("target")
def test_only_a_person_agrees_in_advance(hands: Hands) -> None:
    with pytest.raises(PersonNeeded):
        ask(hands, standing=True, actor=BOT)
    assert ask(hands, actor=BOT).agreed_by == ""


@pytest.mark.usefixtures("target")
def test_what_is_typed_is_checked(hands: Hands) -> None:
    with pytest.raises(InvalidInput) as refused:
        origin_certificates.ask(slug="edge", given=CertificateInput("x y", "nobody"), actor=OLGA, at=hands.clock())
    assert sorted(refused.value.fields) == ["email", "hostname"]
    with pytest.raises(BadTarget):
        origin_certificates.ask(slug="mesh", given=CertificateInput(HOST, "a@b.c"), actor=OLGA, at=hands.clock())
    with pytest.raises(origin_certificates.NoOriginCertificate):
        origin_certificates.renew(slug="edge", actor=OLGA, at=hands.clock())


TREE: dict[str, Any] = {"name": "default", "behaviors": [], "children": [], "criteria": [], "variables": []}


def test_only_a_change_of_the_version_is_a_renewal() -> None:
    old = with_our_rule(TREE, Attached("edge", 1, (HOST,), stream_id=7, client_certificate="g-1"))
    new = with_our_rule(old, Attached("edge", 1, (HOST,), stream_id=7, client_certificate="g-2"))
    assert is_renewal(difference(old, new))
    others = [
        with_our_rule(old, Attached("edge", 2, (HOST,), stream_id=7, client_certificate="g-2")),
        with_our_rule(old, Attached("edge", 1, (HOST,), stream_id=8, client_certificate="g-2")),
        with_our_rule(old, Attached("edge", 1, (HOST, "b.test"), stream_id=7, client_certificate="g-2")),
        with_our_rule(old, Attached("edge", 1, (HOST,), stream_id=7)),
        {**new, "behaviors": [{"name": "origin", "options": {}}]},
    ]
    assert [is_renewal(difference(old, one)) for one in [*others, old]] == [False] * 6
    assert not is_renewal(difference(TREE, new))
