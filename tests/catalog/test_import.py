"""Importing a catalogue: what it makes, what it reports, what it leaves alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.audit.models import Event
from apps.catalog import models, selectors, services
from apps.catalog.policies import MayNotImport
from apps.compiler.graph import Variant
from apps.identity import selectors as identity
from apps.identity.models import ConsoleRole, Membership, Role, Subject, SubjectState
from apps.outbox.models import Message
from tests.factories import catalog
from tests.factories import identity as people

pytestmark = pytest.mark.django_db
BAD = Path(__file__).parent / "data/bad.yaml"


def rows() -> dict[str, int]:
    counted = (
        Subject,
        Membership,
        ConsoleRole,
        models.Environment,
        models.Service,
        models.Route,
        models.Exposure,
        models.Dependency,
        models.ImportRun,
        models.ImportedItem,
        Event,
        Message,
    )
    return {model.__name__: model.objects.count() for model in counted}


def sentences(result: services.ImportResult) -> list[str]:
    return [change.sentence for change in result.changes]


def test_the_sample_estate_is_the_shop() -> None:
    result = catalog.load_estate()
    assert result.errors == ()
    assert result.notes == ()
    assert rows() | {"Event": 0, "Message": 0} == {
        "Subject": 4 + 12 + 1 + 11,
        "Membership": 12,
        "ConsoleRole": 5,
        "Environment": 1,
        "Service": 11,
        "Route": 36,
        "Exposure": 21,
        "Dependency": 15,
        "ImportRun": 1,
        "ImportedItem": 128,
        "Event": 0,
        "Message": 0,
    }


def test_the_sample_estate_has_the_true_call_graph() -> None:
    catalog.load_estate()
    calls: dict[str, set[str]] = {}
    for call in selectors.list_dependencies():
        calls.setdefault(call.caller, set()).add(call.callee)
    assert calls == {
        "frontend": {"ads", "cart", "checkout", "currency", "products", "recommendations", "shipping"},
        "checkout": {"cart", "currency", "email", "payments", "products", "shipping"},
        "recommendations": {"products"},
        "loadgenerator": {"frontend"},
    }


def test_the_sample_estate_fits_the_story() -> None:
    catalog.load_estate()
    payments = selectors.get_service("payments")
    bot = identity.get_subject("agent:release-bot")
    assert payments.sensitivity == "sensitive"
    assert payments.danger_note.startswith("Refunds move real money")
    assert payments.upstream_name == "paymentservice"
    assert identity.is_owner(identity.get_subject("person:ben"), payments.team)
    assert [one.key for one in identity.list_with_role("security")] == ["person:cyd", "person:sam"]
    assert (bot.owner and bot.owner.key, bot.team and bot.team.key) == ("person:dan", "team:platform")
    route = selectors.match_route(payments, method="POST", path="/refunds")
    assert route is not None and route.key == "createRefund"
    edge = selectors.graph_services(["payments"])["payments"].edge
    assert edge is not None and (edge.host, edge.base_path) == ("api.shop.localhost", "/payments")


def test_a_second_import_changes_nothing_at_all() -> None:
    catalog.load_estate()
    before = rows()
    again = catalog.load_estate(at=catalog.AT + timedelta(days=1))
    assert (again.changes, again.unchanged, again.run_id) == ((), 128, None)
    assert rows() == before


def test_a_dry_run_says_what_would_happen_and_does_not() -> None:
    before = rows()
    text = catalog.ESTATE.read_text()
    dry = catalog.load(text, dry_run=True)
    assert rows() == before
    assert dry.run_id is None
    assert sentences(dry) == sentences(catalog.load(text))


def test_a_change_is_told_in_words_and_touches_only_its_service() -> None:
    catalog.load_estate()
    Message.objects.all().delete()
    text = catalog.ESTATE.read_text().replace("sallyport.dev/max-duration: 12h", "sallyport.dev/max-duration: 2h")
    result = catalog.load(text, source=catalog.ESTATE.name)
    assert sentences(result) == ["Changed: service Checkout (checkout): longest access in seconds 43200 → 7200."]
    assert list(Message.objects.values_list("topic", "key")) == [("catalog.service.changed", "checkout")]
    assert Event.objects.order_by("-seq").values_list("action", "target_id", "before", "after")[0] == (
        "catalog.service.changed",
        "checkout",
        {"service:checkout": {"max_duration": 43200}},
        {"service:checkout": {"max_duration": 7200}},
    )


def test_what_is_no_longer_in_the_file_is_named_and_left_alone() -> None:
    catalog.load(catalog.TEAM + catalog.component(spec="  providesApis: [payments]\n") + catalog.api())
    smaller = catalog.load(catalog.TEAM)
    assert sentences(smaller) == [
        "No longer in the file, left as it is: route POST /refunds of payments.",
        "No longer in the file, left as it is: service payments (payments).",
    ]
    assert selectors.get_service("payments").retired_at is None


def test_retiring_what_is_no_longer_in_the_file_and_bringing_it_back() -> None:
    annotations = {"edge-host": "api.shop.localhost", "edge-base-path": "/payments"}
    whole = (
        catalog.TEAM + catalog.component(annotations=annotations, spec="  providesApis: [payments]\n") + catalog.api()
    )
    catalog.load(whole)
    retired = catalog.load(catalog.TEAM, retire=True)
    assert [change.kind for change in retired.changes] == ["retired"] * 3
    assert selectors.graph_services(None) == {}
    assert catalog.load(catalog.TEAM, retire=True).changes == ()
    back = catalog.load(whole)
    assert sentences(back) == [
        "Back again: service payments (payments).",
        "Back again: route POST /refunds of payments.",
        "New: payments at the edge of production, api.shop.localhost/payments.",
    ]
    assert [route.id for route in selectors.graph_services(None)["payments"].routes] == ["createRefund"]


def test_retiring_a_person_suspends_them_and_ends_their_membership() -> None:
    catalog.load(catalog.TEAM)
    group = catalog.TEAM.partition("---")[0].replace("members: [ben]", "members: []")
    catalog.load(group, retire=True)
    assert identity.get_subject("person:ben").state == SubjectState.SUSPENDED
    assert Membership.objects.count() == 0


def test_members_from_elsewhere_stay() -> None:
    catalog.load(catalog.TEAM)
    people.join(identity.get_subject("team:payments"), people.person("zoe"))
    catalog.load(catalog.TEAM, retire=True)
    members = Membership.objects.order_by("member__key").values_list("member__key", "role")
    assert list(members) == [("person:ben", "owner"), ("person:zoe", "member")]


def test_every_bad_entity_is_reported_with_its_place_and_nothing_is_written() -> None:
    before = rows()
    result = catalog.load(BAD.read_text(), source="bad.yaml")
    found = {(one.document, one.entity, one.field.removeprefix("metadata.annotations.")) for one in result.errors}
    assert found == {
        (2, "user:ben", "sallyport.dev/roles"),
        (4, "component:orphan", "spec.owner"),
        (5, "component:payments", "spec.owner"),
        (6, "component:ledger", "sallyport.dev/sensitivity"),
        (6, "component:ledger", "sallyport.dev/max-duration"),
        (6, "component:ledger", "sallyport.dev/edge-host"),
        (6, "component:ledger", "sallyport.dev/edge-base-path"),
        (6, "component:ledger", "sallyport.dev/mesh-port"),
        (6, "component:ledger", "sallyport.dev/workload"),
        (7, "api:ledger", "spec.definition paths./files/{name}.pdf"),
        (7, "api:ledger", "spec.definition paths./accounts.get"),
        (8, "spaceship:enterprise", "kind"),
        (9, "", ""),
    }
    lines = BAD.read_text().splitlines()
    roles = next(one for one in result.errors if one.field.endswith("roles"))
    assert roles.line and lines[roles.line - 1].strip() == "sallyport.dev/roles: king"
    pdf = next(one for one in result.errors if one.field.endswith("pdf"))
    assert pdf.line and lines[pdf.line - 1].strip() == "/files/{name}.pdf:"
    assert str(roles) == (
        f"bad.yaml, document 2, line {roles.line}: user:ben metadata.annotations.sallyport.dev/roles: "
        "'king' is none of security, auditor, operator, administrator."
    )
    assert result.changes == ()
    assert rows() == before


def test_what_a_file_names_must_be_in_it_or_here_already() -> None:
    alone = catalog.component(spec="  dependsOn: [component:ghost]\n")
    result = catalog.load(alone)
    assert [(one.field, one.message) for one in result.errors] == [
        ("spec.owner", "There is no team:payments, neither in the file nor here."),
        ("spec.dependsOn", "There is no service ghost, neither in the file nor here."),
    ]
    people.team("payments")
    catalog.service("ghost", team=identity.get_subject("team:payments"))
    assert catalog.load(alone).ok


def test_an_address_belongs_to_one_service() -> None:
    where = {"edge-host": "api.shop.localhost", "edge-base-path": "/pay"}
    text = catalog.TEAM + catalog.component("one", annotations=where) + catalog.component("two", annotations=where)
    assert [one.message for one in catalog.load(text).errors] == ["one already has the address api.shop.localhost/pay."]
    catalog.load(catalog.TEAM + catalog.component("one", annotations=where))
    other = catalog.load(catalog.component("two", annotations=where), source="other.yaml")
    assert [one.message for one in other.errors] == ["one already has the address api.shop.localhost/pay."]


def test_two_services_may_swap_their_addresses() -> None:
    def swapped(one: str, two: str) -> str:
        here, there = ({"edge-host": "api.shop.localhost", "edge-base-path": path} for path in (one, two))
        return catalog.TEAM + catalog.component("a", annotations=here) + catalog.component("b", annotations=there)

    assert catalog.load(swapped("/x", "/y")).ok
    assert catalog.load(swapped("/y", "/x")).ok
    assert [(one.service, one.base_path) for one in selectors.list_edge_addresses()] == [("b", "/x"), ("a", "/y")]


def test_only_operators_and_administrators_import_and_only_the_latter_people() -> None:
    catalog.load(catalog.TEAM)
    ben = identity.get_subject("person:ben")
    ola = people.person("ola", roles=(Role.OPERATOR,))
    ada = people.person("ada", roles=(Role.ADMINISTRATOR,))
    service = catalog.component()
    renamed = catalog.TEAM.replace("metadata: {name: payments}", "metadata: {name: payments, title: Mine}")

    with pytest.raises(MayNotImport):
        services.import_catalog(text=service, source="x", actor=ben.actor, at=catalog.AT)
    assert services.import_catalog(text=service, source="x", actor=ola.actor, at=catalog.AT).ok
    refused = services.import_catalog(text=renamed, source="x", actor=ola.actor, at=catalog.AT)
    assert [one.message for one in refused.errors] == [
        "Only an administrator may import this. Changed: Mine (team:payments): name payments → Mine."
    ]
    assert services.import_catalog(text=renamed, source="x", actor=ada.actor, at=catalog.AT).ok


def test_a_refusal_of_another_app_becomes_a_problem_and_undoes_everything() -> None:
    catalog.load(catalog.TEAM)
    ada = people.person("ada", roles=(Role.ADMINISTRATOR,))
    services.import_catalog(
        text=catalog.TEAM.replace("ben", "ada").replace("Ben", "Ada"), source="s", actor=ada.actor, at=catalog.AT
    )
    before = rows()
    group = catalog.TEAM.partition("---")[0].replace("members: [ben]", "members: []")
    result = services.import_catalog(text=group, source="s", actor=ada.actor, at=catalog.AT, retire=True)
    assert [(one.entity, one.message) for one in result.errors] == [
        ("person:ada", "You cannot suspend yourself; ask somebody else to.")
    ]
    assert rows() == before


def test_agents_may_be_users_or_components_and_need_an_owner() -> None:
    bot = catalog.component("bot", annotations={"kind": "agent", "owner-person": "user:ben"})
    assert catalog.load(catalog.TEAM + bot).ok
    made = identity.get_subject("agent:bot")
    assert (made.owner and made.owner.key, made.team and made.team.key) == ("person:ben", "team:payments")
    assert models.Service.objects.count() == 0
    lonely = catalog.load(catalog.component("bot", annotations={"kind": "agent"}))
    assert [one.message for one in lonely.errors] == ["An agent needs an owner, and the owner is a person."]


def test_kinds_left_aside_and_things_not_followed_are_noted() -> None:
    head = "---\napiVersion: backstage.io/v1alpha1\n"
    result = catalog.load(
        catalog.TEAM
        + f"{head}kind: Location\nmetadata: {{name: here}}\n"
        + f"{head}kind: Component\nmetadata: {{name: lib}}\nspec: {{type: library, owner: payments}}\n"
        + f"{head}kind: API\nmetadata: {{name: far}}\n"
        + "spec: {type: openapi, definition: {$text: 'https://elsewhere.test/api.yaml'}}\n"
        + f"{head}kind: API\nmetadata: {{name: rpc}}\nspec: {{type: grpc, definition: x}}\n"
    )
    assert result.ok
    assert result.notes == (
        "location:here: a Location is not part of the catalogue here; left aside.",
        "component:lib: this component is not a service and does not say where it answers; left aside.",
        "api:far: its definition is elsewhere ($text), and nothing is fetched; no routes come from it.",
        "api:rpc: only APIs of the type openapi become routes.",
    )


def test_calls_may_be_narrowed_to_routes_that_exist() -> None:
    callee = catalog.component(spec="  providesApis: [payments]\n") + catalog.api()
    caller = catalog.component(
        "shop", annotations={"calls": "payments: createRefund"}, spec="  consumesApis: [payments]\n"
    )
    assert catalog.load(catalog.TEAM + callee + caller).ok
    call = selectors.ServiceCall(caller="shop", callee="payments", workload=None, routes=("createRefund",))
    catalog.environment()
    assert selectors.list_dependencies() == (call,)
    wrong = catalog.load(catalog.TEAM + callee + caller.replace("createRefund", "nothing"))
    assert [one.message for one in wrong.errors] == [
        "There is no route:payments/nothing, neither in the file nor here."
    ]


@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_estate_is_read_or_reported(data: st.DataObject) -> None:
    lines = catalog.ESTATE.read_text().splitlines()
    for _ in range(data.draw(st.integers(1, 6))):
        number = data.draw(st.integers(0, len(lines) - 1))
        damage = data.draw(
            st.sampled_from(["", "- x", "  a: [", "kind: User", "---", "    sallyport.dev/kind: agent", "\x00"])
        )
        if data.draw(st.booleans()):
            lines[number] = damage
        else:
            lines.insert(number, damage or lines[number])
    result = catalog.load("\n".join(lines), source="damaged.yaml", dry_run=True)
    assert bool(result.errors) != bool(result.changes)
    for problem in result.errors:
        assert problem.message and problem.file == "damaged.yaml"


UNLIKE = "should be like v2:9212, a version and its port; or v2:9212@blue, with an origin of the edge's property."
DOORS = {"workload": "spiffe://shop.test/ns/shop/sa/payments", "mesh-port": "9105", "upstream-port": "9205"}


def test_other_versions_come_with_the_mesh_door_and_change_with_it() -> None:
    given = {**DOORS, "variants": "v3:9222, v2:9212"}
    assert catalog.load(catalog.TEAM + catalog.component(annotations=given)).errors == ()
    shape = selectors.graph_services(["payments"])["payments"]
    assert shape.variants == (Variant("v2", 9212), Variant("v3", 9222))
    assert catalog.load(catalog.TEAM + catalog.component(annotations=given)).changes == ()
    [change] = catalog.load(catalog.TEAM + catalog.component(annotations={**DOORS, "variants": "v2:9213@blue"})).changes
    assert change.sentence.endswith("variants v2:9212 v3:9222 → v2:9213@blue.")
    assert selectors.graph_services(["payments"])["payments"].variants == (Variant("v2", 9213, "blue"),)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("v2", f"'v2' {UNLIKE}"),
        ("v2:99999", f"'v2:99999' {UNLIKE}"),
        ("V2.1:9212", f"'V2.1:9212' {UNLIKE}"),
        ("v2:9212@", f"'v2:9212@' {UNLIKE}"),
        ("v2:9212@a.b", f"'v2:9212@a.b' {UNLIKE}"),
        (f"v2:9212@{'x' * 33}", f"'v2:9212@{'x' * 33}' {UNLIKE}"),
        ("v2:9212 v2:9213", "v2 is there twice."),
    ],
)
def test_a_version_that_makes_no_sense_is_a_problem(written: str, said: str) -> None:
    result = catalog.load(catalog.TEAM + catalog.component(annotations={**DOORS, "variants": written}))
    assert [problem.message for problem in result.errors] == [said]


def test_versions_need_a_mesh_door() -> None:
    result = catalog.load(catalog.TEAM + catalog.component(annotations={"variants": "v2:9212"}))
    assert len(result.errors) == 3
