"""Which person a directory's user is, and what happens to the person when the directory speaks."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from apps.audit.models import Event
from apps.identity import services
from apps.identity.errors import InvalidToken
from apps.identity.models import DirectoryAlert, DirectoryUser, Login, Subject, SubjectState
from apps.identity.services.logins import link_login, person_for_login
from apps.outbox.models import Message
from apps.outbox.services import drain
from tests.factories import identity
from tests.identity.scim.caller import Directory, directory, okta_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def okta() -> Directory:
    return directory()


def entry(user: dict) -> DirectoryUser:
    return DirectoryUser.objects.select_related("subject").get(scim_id=user["id"])


def state(person: Subject) -> str:
    return Subject.objects.get(pk=person.pk).state


def active(okta: Directory, user: dict, value: bool) -> None:
    assert okta.patch(f"/Users/{user['id']}", {"op": "replace", "value": {"active": value}}).status == 200


class TestMeeting:
    def test_a_new_user_is_a_new_person_who_may_sign_in_under_its_external_id(self, okta: Directory) -> None:
        ada = entry(okta.user()).subject
        assert (ada.key, ada.name, ada.email) == ("person:ada", "Ada Lovelace", "ada@example.test")
        login = Login.objects.get()
        assert (login.issuer, login.sub, login.subject) == ("https://okta.test", "00uada", ada)
        actions = list(Event.objects.order_by("seq").values_list("action", "actor_id"))[-3:]
        assert actions == [
            ("identity.subject.created", "provider:okta"),
            ("identity.login.linked", "provider:okta"),
            ("identity.directory_user.added", "provider:okta"),
        ]
        assert Message.objects.filter(topic="identity.subject.changed", key=ada.key).count() == 1

    def test_who_signed_in_first_is_met_by_issuer_and_external_id(self, okta: Directory, at: datetime) -> None:
        before = person_for_login(
            issuer="https://okta.test", sub="00uada", claims={"preferred_username": "countess"}, create=True, at=at
        )
        assert entry(okta.user()).subject == before
        assert Subject.objects.filter(kind="person").count() == 1

    def test_nobody_is_ever_met_by_mail_or_user_name(self, okta: Directory, at: datetime) -> None:
        ada = services.upsert_subject(
            key="person:ada", name="Ada", email="ada@example.test", actor=identity.SYSTEM, at=at
        )
        found = entry(okta.user()).subject
        assert found != ada
        assert found.key.startswith("person:ada-")

    def test_the_same_id_at_another_issuer_is_somebody_else(self, okta: Directory) -> None:
        other = directory("entra")
        assert entry(okta.user()).subject != entry(other.user()).subject

    def test_a_provider_that_creates_nobody_waits_for_the_sign_in_to_be_linked(self, at: datetime) -> None:
        okta = directory("okta", creates_people=False)
        user = okta.user(active=False)
        assert entry(user).subject is None
        zoe, ada = identity.person("zoe", roles=("administrator",)), identity.person("ada")
        link_login(issuer="https://okta.test", sub="00uada", subject_key=ada.key, actor=zoe.actor, at=at)
        assert entry(user).subject == ada
        drain(at=timezone.now(), limit=20)
        assert state(ada) == SubjectState.SUSPENDED, "and what the directory said meanwhile counts"

    def test_an_external_id_given_later_lets_the_person_sign_in(self, okta: Directory) -> None:
        user = okta.user(externalId=None)
        ada = entry(user).subject
        assert Login.objects.count() == 0
        okta.patch(f"/Users/{user['id']}", {"op": "add", "path": "externalId", "value": "00uada"})
        assert Login.objects.get().subject == ada

    def test_another_external_id_is_another_person_and_the_former_one_has_left(self, okta: Directory) -> None:
        user = okta.user()
        ada = entry(user).subject
        okta.patch(f"/Users/{user['id']}", {"op": "replace", "path": "externalId", "value": "00uother"})
        assert entry(user).subject not in {ada, None}
        assert state(ada) == SubjectState.SUSPENDED
        assert Login.objects.get(sub="00uada").subject == ada

    def test_a_person_follows_what_the_directory_renames_and_only_that(self, okta: Directory, at: datetime) -> None:
        user = okta.user()
        services.upsert_subject(key="person:ada", name="Ada (us)", email="x@us.test", actor=identity.SYSTEM, at=at)
        okta.patch(f"/Users/{user['id']}", {"op": "replace", "value": {"title": "Countess"}})
        assert entry(user).subject.name == "Ada (us)"
        okta.patch(f"/Users/{user['id']}", {"op": "replace", "value": {"displayName": "Augusta King"}})
        assert (entry(user).subject.name, entry(user).subject.email) == ("Augusta King", "x@us.test")


class TestLeaving:
    def test_inactive_suspends_at_once_and_active_reinstates(self, okta: Directory) -> None:
        user = okta.user()
        ada = entry(user).subject
        active(okta, user, False)
        assert state(ada) == SubjectState.SUSPENDED
        event = Event.objects.get(action="identity.subject.suspended")
        assert (event.actor_id, event.target_id) == ("provider:okta", ada.key)
        active(okta, user, True)
        assert state(ada) == SubjectState.ACTIVE

    def test_inactive_ends_api_tokens_for_good(self, okta: Directory) -> None:
        user = okta.user()
        token, plain = identity.api_token(entry(user).subject)
        active(okta, user, False)
        active(okta, user, True)
        with pytest.raises(InvalidToken):
            services.authenticate_api_token(plain, at=timezone.now())
        token.refresh_from_db()
        assert token.revoked_at is not None

    def test_a_user_created_inactive_is_a_suspended_person(self, okta: Directory) -> None:
        assert entry(okta.user(active=False)).subject.state == SubjectState.SUSPENDED

    def test_active_does_not_undo_what_somebody_here_did(self, okta: Directory, at: datetime) -> None:
        user, cyd = okta.user(), identity.person("cyd", roles=("security",))
        ada = entry(user).subject
        services.suspend_subject(key=ada.key, actor=cyd.actor, at=at)
        active(okta, user, False)
        active(okta, user, True)
        assert state(ada) == SubjectState.SUSPENDED

    def test_nor_what_somebody_here_did_on_top(self, okta: Directory, at: datetime) -> None:
        user, cyd = okta.user(), identity.person("cyd", roles=("security",))
        ada = entry(user).subject
        active(okta, user, False)
        services.suspend_subject(key=ada.key, actor=cyd.actor, at=at, why="an inquiry")
        active(okta, user, True)
        assert state(ada) == SubjectState.SUSPENDED

    def test_a_deleted_user_is_suspended_and_comes_back_when_sent_again(self, okta: Directory) -> None:
        user = okta.user()
        ada = entry(user).subject
        assert okta.call("DELETE", f"/Users/{user['id']}").status == 204
        assert (state(ada), DirectoryUser.objects.count()) == (SubjectState.SUSPENDED, 0)
        assert entry(okta.user()).subject == ada
        assert state(ada) == SubjectState.ACTIVE

    def test_with_two_directories_both_must_say_active(self, okta: Directory) -> None:
        second = directory("second", issuer="https://okta.test", client_id="other")
        one, two = okta.user(), second.user()
        ada = entry(one).subject
        assert entry(two).subject == ada
        active(okta, one, False)
        active(second, two, False)
        active(okta, one, True)
        assert state(ada) == SubjectState.SUSPENDED
        active(second, two, True)
        assert state(ada) == SubjectState.ACTIVE

    def test_agents_go_with_their_owner(self, okta: Directory) -> None:
        user = okta.user()
        bot = identity.agent("bot", owner=entry(user).subject)
        active(okta, user, False)
        assert not Subject.objects.select_related("owner").get(pk=bot.pk).is_active

    def test_many_at_once_are_all_suspended_and_somebody_is_told_once(self, okta: Directory) -> None:
        users = [okta.user(f"p{number}@example.test") for number in range(10)]
        for user in users[:8]:
            active(okta, user, False)
        assert Subject.objects.filter(state=SubjectState.SUSPENDED).count() == 8
        alert = DirectoryAlert.objects.get()
        assert (alert.people, alert.out_of) == (5, 10)
        assert Event.objects.filter(action="identity.directory.mass_suspension").count() == 1


class TestTokens:
    def test_two_are_good_at_once_and_a_third_is_refused(self, okta: Directory) -> None:
        second = identity.scim_token(okta.provider)
        assert Directory(okta.provider, second).call("GET", "/Users").status == 200
        assert okta.call("GET", "/Users").status == 200
        with pytest.raises(services.provider_secrets.TooManySecrets):
            identity.scim_token(okta.provider)

    def test_only_administrators_make_and_revoke_them(self, okta: Directory, at: datetime) -> None:
        secret = okta.provider.secrets.get()
        olga, zoe = identity.person("olga", roles=("operator",)), identity.person("zoe", roles=("administrator",))
        with pytest.raises(services.provider_secrets.policies.NotAnAdministrator):
            services.revoke_provider_secret(secret_id=secret.pk, actor=olga.actor, at=at)
        services.revoke_provider_secret(secret_id=secret.pk, actor=zoe.actor, at=at)
        assert okta.call("GET", "/Users").status == 401
        event = Event.objects.latest("seq")
        assert (event.action, event.target_id) == ("identity.provider_secret.revoked", "okta")
        assert okta.token not in str(event.after)

    def test_they_expire(self, okta: Directory) -> None:
        okta.provider.secrets.update(
            expires_at=timezone.now() - timedelta(seconds=1), created_at=timezone.now() - timedelta(1)
        )
        assert okta.call("GET", "/Users").status == 401

    def test_their_use_is_noted_once_a_minute(self, okta: Directory) -> None:
        okta.call("GET", "/Users")
        first = okta.provider.secrets.get().last_used_at
        okta.call("GET", "/Users")
        assert okta.provider.secrets.get().last_used_at == first

    def test_only_a_hash_is_kept(self, okta: Directory) -> None:
        secret = okta.provider.secrets.get()
        assert (len(secret.hash), okta.token.startswith(secret.prefix), len(secret.prefix)) == (64, True, 10)
        assert okta_user()["password"] not in str(list(DirectoryUser.objects.values()))
