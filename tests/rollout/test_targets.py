from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.audit.models import Event
from apps.identity import selectors as identity
from apps.identity.vault import hash_of
from apps.rollout.models import Node, PendingChange, Target
from apps.rollout.services import dismissing, targets
from apps.rollout.services.targets import POINTS
from apps.rollout.surroundings import edge_surroundings, secret_of
from tests.factories import access as factory
from tests.factories.access import AT
from tests.localedge.standin import CREDENTIAL
from tests.rollout.world import EDGE, INGRESS, edge_spec, make_node, make_target, mesh_spec

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def shop() -> factory.Shop:
    return factory.shop()


def test_a_new_target_gets_everything_compiled() -> None:
    target = make_target(edge_spec(), AT)
    assert (target.point, target.environment.slug) == ("edge", "demo")
    assert sorted(PendingChange.objects.values_list("service", flat=True)) == ["", "payments"]
    assert Event.objects.filter(action="rollout.target.created").count() == 1


def test_the_same_again_changes_nothing() -> None:
    make_target(edge_spec(), AT)
    salt = secret_of(Target.objects.get())["salt"]
    PendingChange.objects.all().delete()
    make_target(edge_spec(), AT)
    assert secret_of(Target.objects.get())["salt"] == salt
    assert PendingChange.objects.count() == 0
    assert Event.objects.filter(action__startswith="rollout.target").count() == 1


@pytest.mark.parametrize("spec", [edge_spec(), mesh_spec()], ids=lambda spec: spec.driver)
def test_a_door_of_an_environment_has_one_target_and_a_second_is_refused_with_words(spec: targets.TargetSpec) -> None:
    make_target(spec, AT)
    with pytest.raises(targets.BadTarget, match=f"{spec.name} is the {POINTS[spec.driver]} of .* already"):
        make_target(replace(spec, slug="second"), AT)
    assert Target.objects.count() == 1


def test_a_changed_setting_is_recorded_with_before_and_after() -> None:
    make_target(mesh_spec(), AT)
    make_target(replace(mesh_spec(), config={**mesh_spec().config, "ingress_port": 9443}), AT)
    event = Event.objects.get(action="rollout.target.changed")
    assert event.before["config"]["ingress_port"] == 8443
    assert event.after["config"]["ingress_port"] == 9443


def test_credentials_are_sealed_and_never_recorded() -> None:
    target = make_target(edge_spec(), AT)
    secret = CREDENTIAL["client_secret"]
    assert secret.encode() not in bytes(target.secret_sealed)
    assert secret_of(target)["client_secret"] == secret
    assert secret not in json.dumps(list(Event.objects.values("before", "after", "context")))


def test_the_doors_themselves_become_workloads() -> None:
    make_target(mesh_spec(), AT)
    for spiffe_id in (INGRESS, EDGE):
        assert identity.get_subject(f"workload:{spiffe_id}").is_active


@pytest.mark.parametrize("missing", ["resource_tier_id", "group_id"])
def test_a_target_that_lacks_a_setting_is_refused(missing: str) -> None:
    config = {name: value for name, value in edge_spec().config.items() if name != missing}
    with pytest.raises(targets.BadTarget) as refused:
        make_target(replace(edge_spec(), config=config), AT)
    assert list(refused.value.fields) == [missing]
    assert Target.objects.count() == 0


def test_half_a_credential_is_refused() -> None:
    with pytest.raises(targets.BadTarget) as refused:
        make_target(replace(edge_spec(), credentials={"client_token": "akab"}), AT)
    assert sorted(refused.value.fields) == ["access_token", "client_secret"]
    config = {name: value for name, value in edge_spec().config.items() if name != "base_url"}
    with pytest.raises(targets.BadTarget) as refused:
        make_target(replace(edge_spec(), config=config), AT)
    assert list(refused.value.fields) == ["base_url"]


def test_edge_and_mesh_agree_on_names() -> None:
    edge = make_target(edge_spec(), AT)
    edge.facts = {"kv_token_ref": "ref"}
    found = edge_surroundings(edge)
    assert (found.context_issuer, found.context_audience) == ("edge:edge", "mesh:shop")
    assert found.salt == secret_of(edge)["salt"]


def test_a_node_token_is_kept_as_a_hash() -> None:
    make_target(mesh_spec(), AT)
    enrolled = make_node(at=AT)
    assert Node.objects.get().token_hash == hash_of(enrolled.token)
    assert enrolled.token not in json.dumps(list(Event.objects.values("before", "after")))
    assert targets and len(enrolled.bundle_keys["keys"]) == 2


def test_an_edge_has_no_nodes() -> None:
    make_target(edge_spec(), AT)
    with pytest.raises(targets.BadTarget):
        targets.enroll_node(target_slug="edge", name="node-1", actor=targets.Actor("a", "A"), at=AT)


def test_a_removed_node_is_forgotten() -> None:
    make_target(mesh_spec(), AT)
    make_node(at=AT)
    dismissing.remove_node(target_slug="mesh", name="node-1", actor=targets.Actor("a", "A"), at=AT)
    assert Node.objects.count() == 0
    assert Event.objects.filter(action="rollout.node.removed").count() == 1


def test_the_commands(tmp_path: Path) -> None:
    config, token, keys = tmp_path / "targets.json", tmp_path / "token", tmp_path / "keys.json"
    spec = mesh_spec()
    entry = {"slug": spec.slug, "name": spec.name, "driver": spec.driver, "config": spec.config}
    config.write_text(json.dumps({"targets": [entry]}))
    call_command("ensure_targets", config=config)
    call_command("enroll_node", "mesh", "node-1", token_out=token, bundle_keys_out=keys)
    assert token.stat().st_mode & 0o777 == 0o600
    assert Node.objects.get().token_hash == hash_of(token.read_text())
    assert {key["kty"] for key in json.loads(keys.read_text())["keys"]} == {"EC"}
    assert "d" not in json.loads(keys.read_text())["keys"][0]


@pytest.mark.parametrize("text", ["", "{}", '{"targets": [{"slug": "x"}]}', '{"targets": [{"surprise": 1}]}'])
def test_the_command_refuses_what_it_cannot_read(tmp_path: Path, text: str) -> None:
    config = tmp_path / "targets.json"
    config.write_text(text)
    with pytest.raises(CommandError):
        call_command("ensure_targets", config=config)
