"""Roles and users of AWS accounts: found, bound, copied again, and a large loss looked at first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.conf import LazySettings
from django.test import Client

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity.models import AwsPrincipal, AwsSync, Subject, WorkloadIdentity
from apps.identity.proofs import aws_syncing
from apps.identity.proofs.aws_syncing import ASKED
from apps.outbox import services as outbox
from apps.outbox.models import Message
from tests.factories import pages
from tests.identity.proofs.accounts import Account
from tests.pages.test_subjects import words

pytestmark = pytest.mark.django_db

Browse = Callable[[Subject], Client]
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ROLE = "arn:aws:iam::210987654321:role/sync"


@pytest.fixture(autouse=True)
def wanted(settings: LazySettings) -> None:
    settings.SALLYPORT_AWS_SYNC_ROLES = [ROLE]


def copied(account: Account) -> AwsSync:
    return aws_syncing.copy(role=ROLE, open_as=lambda role: account, at=AT)


def names(client: Client, query: str) -> list[str]:
    context = client.get(f"/settings/aws/{query}").context
    return [one.name for one, _ in context["rows"]]


def test_they_are_found_by_name_path_tag_account_kind_and_standing(house: pages.House, browse: Browse) -> None:
    copied(Account("210987654321", ["one", "two", "three"]))
    client = browse(house.olga)
    asked = ["", "?q=DEPLOYER", "?q=cost-centre", "?account=123456789012", "?kind=aws_user", "?show=vanished", "?q=%25"]
    assert {query: names(client, query) for query in asked} == {
        "": ["payments-production", "deployer", "one", "three", "two"],
        "?q=DEPLOYER": ["deployer"],
        "?q=cost-centre": ["three"],
        "?account=123456789012": ["payments-production"],
        "?kind=aws_user": ["deployer"],
        "?show=vanished": [],
        "?q=%25": [],
    }


def test_one_is_bound_to_a_workload_by_its_own_id(house: pages.House, browse: Browse) -> None:
    client, bot = browse(house.olga), house.shop.bot
    answer = client.post("/settings/aws/AROAEXAMPLE000000001/bind", {"subject": bot.key}, follow=True)
    assert f"payments-production is {bot.name}" in words(answer)
    made = WorkloadIdentity.objects.get(stable_id="AROAEXAMPLE000000001")
    assert (made.subject, made.kind, made.outside) == (
        bot,
        "aws_role",
        "arn:aws:iam::123456789012:role/payments-production",
    )
    assert names(client, "?show=bound") == ["payments-production"]
    assert names(client, "?show=free") == []


def test_what_was_typed_stays_when_it_cannot_be_bound(house: pages.House, browse: Browse) -> None:
    answer = browse(house.olga).post("/settings/aws/AROAEXAMPLE000000001/bind", {"subject": "agent:nobody"})
    assert answer.status_code == 404
    assert 'value="agent:nobody"' in answer.content.decode()
    assert "There is no agent:nobody." in words(answer)


def test_the_policy_stands_there_for_copying(house: pages.House, browse: Browse) -> None:
    assert "iam:GetAccountAuthorizationDetails" in words(browse(house.olga).get("/settings/aws/"))


def test_copying_now_is_asked_of_a_worker_once(house: pages.House, browse: Browse) -> None:
    client = browse(house.olga)
    for _ in range(2):
        assert client.post("/settings/aws/sync", {"role": ROLE}).status_code == 302
    assert list(Message.objects.filter(topic=ASKED).values_list("key", flat=True)) == [ROLE]
    assert "Copying" in words(client.get("/settings/aws/"))
    event = Event.objects.get(action="identity.aws.asked")
    assert (event.actor_id, event.after) == ("person:olga", {"role": ROLE, "may_lose": 0})


def test_a_role_that_is_in_no_setting_is_not_taken(house: pages.House, browse: Browse) -> None:
    browse(house.olga).post("/settings/aws/sync", {"role": "arn:aws:iam::1:role/other"})
    assert not AwsSync.objects.exists()


def test_the_last_result_is_told(house: pages.House, browse: Browse) -> None:
    copied(Account("210987654321", ["one", "two"]))
    said = words(browse(house.olga).get("/settings/aws/"))
    assert "3 seen, 3 new, 0 vanished, 0 bindings ended" in said


class TestALargeLoss:
    """Sixteen of twenty roles are gone."""

    @pytest.fixture(autouse=True)
    def held(self, house: pages.House) -> None:
        many = [f"batch-{number:02}" for number in range(20)]
        copied(Account("210987654321", many))
        self.now = Account("210987654321", many, gone=16)
        assert copied(self.now).outcome == "held"

    def vanished(self) -> int:
        return AwsPrincipal.objects.filter(account="210987654321", vanished_at__isnull=False).count()

    def test_is_held_and_told(self, house: pages.House, browse: Browse) -> None:
        said = words(browse(house.olga).get("/settings/aws/"))
        assert "16 of 21 would vanish" in said
        assert "16 did vanish" in said
        assert self.vanished() == 0

    def test_happens_when_whoever_looked_confirms_the_number(self, house: pages.House, browse: Browse) -> None:
        browse(house.olga).post("/settings/aws/sync", {"role": ROLE, "may_lose": "16"})
        for _ in range(2):
            aws_syncing.answer(role=ROLE, open_as=lambda role: self.now, at=datetime.now(UTC))
        row = AwsSync.objects.get(role=ROLE)
        assert (row.outcome, row.vanished, row.asked_at, row.may_lose) == ("copied", 16, None, 0)
        assert self.vanished() == 16

    def test_is_not_confirmed_by_another_number(self, house: pages.House, browse: Browse) -> None:
        client = browse(house.olga)
        client.post("/settings/aws/sync", {"role": ROLE, "may_lose": "15"})
        assert AwsSync.objects.get(role=ROLE).asked_at is None
        assert "no longer what you were shown" in words(client.get("/settings/aws/"))

    def test_a_larger_one_than_was_confirmed_is_held_again(self, house: pages.House, browse: Browse) -> None:
        aws_syncing.ask_sync(role=ROLE, may_lose=16, actor=SYSTEM, at=AT)
        self.now.roles = self.now.roles[1:]
        aws_syncing.answer(role=ROLE, open_as=lambda role: self.now, at=datetime.now(UTC))
        row = AwsSync.objects.get(role=ROLE)
        assert (row.outcome, row.losing, self.vanished()) == ("held", 17, 0)


def test_the_outbox_hands_it_to_a_worker_that_writes_down_why_aws_was_not_read(
    house: pages.House, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody answers at AWS's address here."""
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    browse(house.olga).post("/settings/aws/sync", {"role": ROLE})
    Message.objects.exclude(topic=ASKED).delete()
    assert outbox.drain(at=datetime.now(UTC)).handled == 1
    row = AwsSync.objects.get(role=ROLE)
    assert (row.outcome, row.asked_at) == ("failed", None)
    assert row.message.startswith(f"The role {ROLE} cannot be taken:")
