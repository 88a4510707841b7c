"""A credential is tried before it is kept, kept encrypted, and never seen again."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from akamai.edgegrid import EdgeGridAuth
from django.core.management import CommandError, call_command

from apps.audit.actors import Actor
from apps.audit.models import Event
from apps.rollout.akamai.edgerc import EdgeGridCredential
from apps.rollout.models import PendingChange, Target
from apps.rollout.services import connecting, moving
from apps.rollout.services.driving import NotConnected, akamai_api, akamai_driver
from apps.rollout.services.targets import BadTarget
from apps.rollout.surroundings import secret_of
from tests.factories import access as factory
from tests.localedge.origin import OriginServer
from tests.localedge.pki import Authority
from tests.localedge.standin import CREDENTIAL, StandIn, eventually
from tests.rollout.akamai.answers import answering
from tests.rollout.akamai.code import live, make_edge, worked
from tests.rollout.conftest import make_local_edge
from tests.rollout.world import Hands, edge_spec, make_target, mesh_spec

pytestmark = pytest.mark.django_db

OLGA = Actor("person:olga", "Olga")
GROUPS = "/edgeworkers/v1/groups"
GOOD = {GROUPS: (200, {"groups": []})}


def at() -> datetime:
    return datetime.now(UTC)


def credential(host: str, **changed: str) -> EdgeGridCredential:
    return replace(EdgeGridCredential(host=host, **CREDENTIAL, source="an .edgerc file, section default"), **changed)


def connect(address: str, key: str = "", slug: str = "edge", **changed: str) -> Target:
    given = credential(address.partition("://")[2], **changed)
    return connecting.connect(slug=slug, credential=given, account_switch_key=key, actor=OLGA, at=at())


@pytest.fixture(autouse=True)
def shop() -> factory.Shop:
    return factory.shop()


def test_a_credential_the_vendor_takes_replaces_the_stored_one(standin: StandIn) -> None:
    spec = edge_spec(standin.control)
    target = make_target(replace(spec, credentials={**CREDENTIAL, "client_secret": "old="}))
    salt = secret_of(target)["salt"]
    connect(standin.control)
    kept = secret_of(Target.objects.get())
    assert kept == {**CREDENTIAL, "salt": salt}


def test_one_the_vendor_refuses_changes_nothing(standin: StandIn) -> None:
    target = make_target(edge_spec(standin.control))
    before = bytes(target.secret_sealed)
    with pytest.raises(connecting.CredentialRefused) as refused:
        connect(standin.control, client_secret="wrong=")
    assert refused.value.message.startswith("Akamai does not accept the credential")
    assert "signature does not match" in refused.value.message
    assert bytes(Target.objects.get().secret_sealed) == before
    assert not Event.objects.filter(action="rollout.target.connected").exists()


def test_the_record_says_who_and_where_and_no_secret(standin: StandIn) -> None:
    make_target(edge_spec(standin.control))
    connect(standin.control)
    event = Event.objects.get(action="rollout.target.connected")
    assert (event.actor_id, event.after["host"]) == ("person:olga", standin.control.partition("://")[2])
    assert event.after["from"] == "an .edgerc file, section default"
    recorded = json.dumps(list(Event.objects.values("before", "after", "context")))
    assert all(secret not in recorded for secret in CREDENTIAL.values())
    sealed = bytes(Target.objects.get().secret_sealed)
    assert all(secret.encode() not in sealed for secret in CREDENTIAL.values())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, {"detail": "Invalid timestamp", "status": 401}), "this machine's clock"),
        ((403, {"detail": "The client does not have the grant needed for the request"}), "lacks the grant"),
        ((200, "<html>A proxy</html>"), "The answer was not JSON"),
        ((503, {"title": "Service Unavailable"}), "Akamai had an error of its own"),
    ],
)
def test_each_refusal_is_said_in_plain_words(answer: tuple[int, object], words: str) -> None:
    with answering({GROUPS: answer}) as akamai:
        make_target(edge_spec(akamai.address))
        with pytest.raises(connecting.CredentialRefused) as refused:
            connect(akamai.address)
    assert words in refused.value.message


def test_nobody_there_is_said_too() -> None:
    make_target(edge_spec("http://127.0.0.1:1"))
    with pytest.raises(connecting.CredentialRefused, match="No connection to Akamai"):
        connect("http://127.0.0.1:1")


def test_signed_calls_go_to_akamai_or_to_where_an_operator_said() -> None:
    make_target(edge_spec("http://127.0.0.1:1"))
    for host in ("169.254.169.254", "evil.test", "akamaiapis.net.evil.test", "127.0.0.1:2"):
        with pytest.raises(connecting.CredentialRefused, match=r"must end in \.akamaiapis\.net"):
            connect(f"https://{host}")


def test_the_account_switch_key_goes_with_every_call() -> None:
    with answering(GOOD) as akamai:
        make_target(edge_spec(akamai.address))
        connect(akamai.address, " A-CCT1234:A-CCT5432 ")
        api = akamai_api(Target.objects.get())
        api.get_json(GROUPS, {"groupId": "1"})
        api.close()
    assert akamai.seen == [
        f"{GROUPS}?accountSwitchKey=A-CCT1234%3AA-CCT5432",
        f"{GROUPS}?accountSwitchKey=A-CCT1234%3AA-CCT5432&groupId=1",
    ]


def test_a_key_that_is_none_is_refused_before_any_call() -> None:
    with answering(GOOD) as akamai:
        make_target(edge_spec(akamai.address))
        with pytest.raises(BadTarget) as refused:
            connect(akamai.address, "A B")
    assert list(refused.value.fields) == ["account_switch_key"]
    assert akamai.seen == []


def test_a_target_can_be_made_known_first_and_connected_later(standin: StandIn) -> None:
    spec = edge_spec()
    bare = {name: value for name, value in spec.config.items() if name != "base_url"}
    target = make_target(replace(spec, config=bare, credentials={}))
    assert not moving.set_up(target=target, at=at())
    assert "not connected yet" in Target.objects.get().error
    with pytest.raises(NotConnected), akamai_driver(target):
        pass
    make_target(replace(spec, config={**bare, "base_url": standin.control}, credentials={}))
    connect(standin.control)
    assert moving.set_up(target=Target.objects.get(), at=at())
    assert Target.objects.get().facts["edgeworker_id"] == 1


def test_what_connecting_set_stays_when_the_operators_file_comes_again(standin: StandIn) -> None:
    spec = edge_spec(standin.control)
    make_target(spec)
    connect(standin.control, "A-1")
    bare = {name: value for name, value in spec.config.items() if name != "base_url"}
    target = make_target(replace(spec, config={**bare, "group_id": 1}, credentials={}))
    assert (target.config["base_url"], target.config["account_switch_key"]) == (standin.control, "A-1")


def test_another_account_is_set_up_again(standin: StandIn) -> None:
    target = make_target(edge_spec(standin.control))
    moving.set_up(target=target, at=at())
    PendingChange.objects.all().delete()
    connect(standin.control)
    assert not moving.needs_setup(Target.objects.get())
    assert PendingChange.objects.count() == 0
    connect(standin.control, "A-1")
    assert moving.needs_setup(Target.objects.get())
    assert set(PendingChange.objects.values_list("topic", flat=True)) == {"rollout.target.connected"}


def test_all_is_brought_to_another_account(
    standin: StandIn, tmp_path: Path, test_authority: Authority, test_origin: OriginServer
) -> None:
    """What the first account took says nothing of what the second one holds."""
    make_edge(standin)
    (tmp_path / "other").mkdir()
    other = make_local_edge(tmp_path / "other", test_authority, test_origin, account="A-OTHER")
    other.start()
    try:
        given = credential(other.control.partition("://")[2])
        connecting.keep(Target.objects.get().pk, other.control, given, "", OLGA, at())
        path = "/edgekv/v1/networks/production/namespaces/sallyport/groups/services/items/payments"
        eventually(lambda: worked(Hands()) and other.call("GET", path).status_code == 200)
        eventually(lambda: worked(Hands()).active_number == Target.objects.get().latest_number and live(other))
    finally:
        other.stop()
    assert Target.objects.get().facts["account_id"] == "A-OTHER"


def test_a_set_up_with_the_old_credential_does_not_settle_the_new_one(standin: StandIn) -> None:
    old = make_target(replace(edge_spec(standin.control), credentials={**CREDENTIAL}))
    connect(standin.control, "A-1")
    assert moving.set_up(target=old, at=at())
    assert moving.needs_setup(Target.objects.get())
    assert moving.set_up(target=Target.objects.get(), at=at())
    assert not moving.needs_setup(Target.objects.get())


def test_a_mesh_has_no_such_credential() -> None:
    make_target(mesh_spec())
    with pytest.raises(BadTarget):
        connect("http://127.0.0.1:1", slug="mesh")


def test_the_vendors_library_never_logs_its_signing_key(caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG it writes the signing key and the body; the settings hold it at WARNING, whatever the root says."""
    logging.getLogger().setLevel(logging.DEBUG)
    try:
        with answering(GOOD) as akamai:
            make_target(edge_spec(akamai.address))
            connect(akamai.address)
    finally:
        logging.getLogger().setLevel(logging.WARNING)
    names = [EdgeGridAuth.__module__, "akamai.edgegrid"]
    assert all(logging.getLogger(name).getEffectiveLevel() >= logging.WARNING for name in names)
    logged = caplog.text
    assert all(secret not in logged for secret in CREDENTIAL.values())


def test_the_command_takes_a_file(standin: StandIn, tmp_path: Path) -> None:
    make_target(edge_spec(standin.control))
    host = standin.control.partition("://")[2]
    file = tmp_path / ".edgerc"
    file.write_text(f"[ci]\nhost={host}\n" + "".join(f"{name}={value}\n" for name, value in CREDENTIAL.items()))
    call_command("connect_target", "edge", edgerc=file, section="ci", stdout=StringIO())
    assert Event.objects.get(action="rollout.target.connected").actor_name == "An operator on the command line"
    with pytest.raises(CommandError, match=r"There is no section \[default\]"):
        call_command("connect_target", "edge", edgerc=file)
    with pytest.raises(CommandError, match="cannot be read: FileNotFoundError"):
        call_command("connect_target", "edge", edgerc=tmp_path / "none")
