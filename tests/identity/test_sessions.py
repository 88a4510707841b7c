from __future__ import annotations

import io
import sys
from datetime import UTC, datetime

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.contrib import admin
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity import selectors, services, tasks
from apps.identity.middleware import SubjectMiddleware
from apps.identity.models import Subject, User
from tests.factories.identity import agent, api_token, person, team, user

pytestmark = pytest.mark.django_db


def subject_of_request(sender: object) -> Subject | None:
    request = RequestFactory().get("/")
    request.user = sender
    request.session = SessionStore()
    seen: list[HttpRequest] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return HttpResponse()

    SubjectMiddleware(view)(request)
    found: Subject | None = seen[0].subject
    return found


class TestMiddleware:
    def test_knows_the_subject(self) -> None:
        ada = person("ada")
        assert subject_of_request(user(ada)) == ada

    def test_a_suspended_subject_is_nobody(self, at: datetime) -> None:
        dan = person("dan")
        bot = agent("bot", owner=dan)
        user(bot)
        services.suspend_subject(key=dan.key, actor=SYSTEM, at=at)
        assert subject_of_request(User.objects.get(username=bot.key)) is None

    def test_a_visitor_is_nobody(self) -> None:
        assert subject_of_request(object()) is None

    def test_who_is_behind_a_session_costs_two_queries(self, django_assert_num_queries: object) -> None:
        client = Client()
        client.force_login(user(agent("bot")))
        with django_assert_num_queries(2):  # type: ignore[operator]
            assert client.get("/no-such-page/").status_code == 404


class TestDemoSignIn:
    def test_one_post_signs_in_and_is_recorded(self, client: Client) -> None:
        ada = person("ada")
        answer = client.post("/demo/sign-in/person:ada", {"next": "/access/"})
        assert (answer.status_code, answer["Location"]) == (302, "/access/")
        assert client.session["_auth_user_id"] == str(user(ada).pk)
        event = Event.objects.latest("seq")
        assert (event.action, event.actor_id, event.after) == (
            "identity.session.started",
            "person:ada",
            {"way": "demo"},
        )

    def test_agents_too(self, client: Client) -> None:
        agent("release-bot")
        assert client.post("/demo/sign-in/agent:release-bot").status_code == 302
        assert "_auth_user_id" in client.session

    def test_never_by_get_nor_without_the_csrf_token(self) -> None:
        person("ada")
        strict = Client(enforce_csrf_checks=True)
        assert strict.get("/demo/sign-in/person:ada").status_code == 405
        assert strict.post("/demo/sign-in/person:ada").status_code == 403
        assert "_auth_user_id" not in strict.session

    def test_only_in_the_demo(self, client: Client, settings: LazySettings) -> None:
        person("ada")
        settings.SALLYPORT_DEMO = False
        assert client.post("/demo/sign-in/person:ada").status_code == 404
        assert "_auth_user_id" not in client.session

    @pytest.mark.parametrize("key", ["person:nobody", "team:shop", "nonsense"])
    def test_not_as_nobody_nor_as_a_team(self, client: Client, key: str) -> None:
        team("shop")
        assert client.post(f"/demo/sign-in/{key}").status_code == 404
        assert "_auth_user_id" not in client.session

    def test_not_as_somebody_suspended(self, client: Client, at: datetime) -> None:
        person("ada")
        services.suspend_subject(key="person:ada", actor=SYSTEM, at=at)
        client.post("/demo/sign-in/person:ada")
        assert "_auth_user_id" not in client.session

    def test_signing_out_ends_it(self, client: Client) -> None:
        client.force_login(user(person("ada")))
        assert client.get("/sign-out/").status_code == 405
        assert client.post("/sign-out/").status_code == 302
        assert "_auth_user_id" not in client.session


class TestCreateOperator:
    def run(self, monkeypatch: pytest.MonkeyPatch, password: str, name: str = "root") -> str:
        monkeypatch.setattr(sys, "stdin", io.StringIO(password + "\n"))
        out = io.StringIO()
        call_command("create_operator", name, stdout=out)
        return out.getvalue()

    def test_makes_an_administrator_with_a_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said = self.run(monkeypatch, "correct horse battery")
        assert said.startswith("person:root is an administrator and operator")
        root = User.objects.get()
        assert root.check_password("correct horse battery")
        assert selectors.roles_of(root.subject) == {"administrator", "operator"}
        assert Client().login(username="person:root", password="correct horse battery")
        assert "correct horse" not in str(list(Event.objects.values()))

    def test_again_sets_a_new_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run(monkeypatch, "correct horse battery")
        self.run(monkeypatch, "another fine secret")
        assert User.objects.get().check_password("another fine secret")
        assert Event.objects.filter(action="identity.operator.password_set").count() == 2

    @pytest.mark.parametrize(
        ("name", "password"), [("root", ""), ("root", "short"), ("Ro ot", "correct horse battery")]
    )
    def test_refuses_what_is_no_password_or_no_name(
        self, monkeypatch: pytest.MonkeyPatch, name: str, password: str
    ) -> None:
        with pytest.raises(CommandError):
            self.run(monkeypatch, password, name)
        assert User.objects.count() == 0


class TestDjangoAdmin:
    def pages(self) -> list[str]:
        registered = admin.site._registry
        return [f"/django-admin/{model._meta.app_label}/{model._meta.model_name}/" for model in registered]

    def test_is_closed_to_everybody_but_operators(self) -> None:
        for subject in (person("ada"), person("cyd", roles=("security", "auditor"))):
            client = Client()
            client.force_login(user(subject))
            assert client.get("/django-admin/").status_code == 302
            for page in self.pages():
                assert client.get(page).status_code == 302, page

    def test_shows_rows_to_operators(self) -> None:
        ops = person("ops", roles=("operator",))
        token, _ = api_token(ops)
        client = Client()
        client.force_login(user(ops))
        assert client.get("/django-admin/").status_code == 200
        for page in self.pages():
            assert client.get(page).status_code == 200, page
        shown = client.get(f"/django-admin/identity/apitoken/{token.pk}/change/")
        assert token.prefix.encode() in shown.content
        assert token.hash.encode() not in shown.content

    def test_changes_nothing(self) -> None:
        ops = person("ops", roles=("operator", "administrator"))
        client = Client()
        client.force_login(user(ops))
        for page in self.pages():
            assert client.get(f"{page}add/").status_code == 403, page
        here = f"/django-admin/identity/subject/{ops.pk}"
        assert client.post(f"{here}/change/", {"name": "Mallory"}).status_code == 403
        assert client.post(f"{here}/delete/", {"post": "yes"}).status_code == 403
        assert client.post("/django-admin/password_change/", {}).status_code == 404
        assert Subject.objects.get(pk=ops.pk).name == "Ops"

    def test_every_registered_model_is_ours(self) -> None:
        labels = {model._meta.app_label for model in admin.site._registry}
        assert labels <= {config.label for config in apps.get_app_configs() if config.name.startswith("apps.")}


def test_sessions_that_ran_out_are_forgotten_and_others_are_not() -> None:
    kept, gone = Client(), Client()
    for client, name in ((kept, "ada"), (gone, "ben")):
        client.force_login(user(person(name)))
    Session.objects.filter(pk=gone.session.session_key).update(expire_date=datetime(2020, 1, 1, tzinfo=UTC))
    for _ in range(2):
        tasks.forget_sessions()
    assert Session.objects.get().pk == kept.session.session_key
