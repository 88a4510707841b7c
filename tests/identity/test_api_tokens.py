from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from apps.audit.actors import SYSTEM
from apps.audit.errors import NotFound
from apps.audit.models import Event
from apps.identity import services
from apps.identity.errors import InvalidSubject, InvalidToken, MayNotIssueToken, Suspended
from apps.identity.models import ApiToken, Scope
from tests.factories.identity import agent, api_token, person, team, user, workload

pytestmark = pytest.mark.django_db
MONTH = timedelta(days=30)


def test_the_secret_is_shown_once_and_only_its_hash_is_kept(at: datetime) -> None:
    ada = person("ada")
    issued = services.issue_api_token(
        subject_key=ada.key, name=" laptop ", scopes=["read"], expires_at=at + MONTH, actor=ada.actor, at=at
    )
    assert issued.plain.startswith("sp_")
    assert len(issued.plain) == 46
    token = ApiToken.objects.get()
    assert token.hash == hashlib.sha256(issued.plain.encode()).hexdigest()
    assert (token.name, token.scopes, token.prefix) == ("laptop", ["read"], issued.plain[:10])
    assert issued.plain not in repr(issued)
    event = Event.objects.latest("seq")
    assert (event.action, event.actor_id) == ("identity.api_token.issued", "person:ada")
    assert issued.plain not in str(event.after)


def test_a_token_works_until_it_expires(at: datetime) -> None:
    _, plain = api_token(person("ada"), at=at, days=30)
    assert services.authenticate_api_token(plain, at=at).subject.key == "person:ada"
    assert services.authenticate_api_token(plain, at=at + MONTH - timedelta(seconds=1)).subject.key == "person:ada"
    with pytest.raises(InvalidToken):
        services.authenticate_api_token(plain, at=at + MONTH)


@pytest.mark.parametrize("wrong", ["", "sp_", "sp_" + "x" * 43, "\x00", "sp_ü"])
def test_a_wrong_secret_names_nobody(wrong: str, at: datetime) -> None:
    api_token(person("ada"), at=at)
    with pytest.raises(InvalidToken):
        services.authenticate_api_token(wrong, at=at)


def test_a_revoked_token_is_refused_and_revoking_again_is_quiet(at: datetime) -> None:
    ada = person("ada")
    token, plain = api_token(ada, at=at)
    services.revoke_api_token(token_id=token.pk, actor=ada.actor, at=at)
    with pytest.raises(InvalidToken):
        services.authenticate_api_token(plain, at=at)
    events = Event.objects.count()
    services.revoke_api_token(token_id=token.pk, actor=ada.actor, at=at)
    assert Event.objects.count() == events


def test_a_suspended_subject_and_the_agent_of_a_suspended_owner_are_refused(at: datetime) -> None:
    dan = person("dan")
    secrets = [api_token(one, at=at)[1] for one in (dan, agent("bot", owner=dan))]
    services.suspend_subject(key=dan.key, actor=SYSTEM, at=at)
    for plain in secrets:
        with pytest.raises(Suspended):
            services.authenticate_api_token(plain, at=at)
    with pytest.raises(Suspended):
        api_token(dan, at=at)


def test_use_is_noted_at_most_once_a_minute(at: datetime) -> None:
    token, plain = api_token(person("ada"), at=at)
    writes = []
    for seconds in (0, 1, 59, 60, 61):
        with CaptureQueriesContext(connection) as queries:
            services.authenticate_api_token(plain, at=at + timedelta(seconds=seconds))
        writes.append(sum(query["sql"].startswith("UPDATE") for query in queries))
        assert len(queries) == 1 + writes[-1]
    assert writes == [1, 0, 0, 1, 0]
    token.refresh_from_db()
    assert token.last_used_at == at + timedelta(seconds=60)


def test_who_may_make_tokens_for_whom(at: datetime) -> None:
    ada, ben, dan, zoe = person("ada"), person("ben"), person("dan"), person("zoe", roles=("administrator",))
    shop = team("shop", owners=(ben,), members=(ada,))
    bot, payments = agent("bot", owner=dan, team=shop), workload("payments", team=shop)
    allowed = [
        (actor.key, subject.key)
        for actor in (ada, ben, dan, zoe, bot)
        for subject in (ada, bot, payments)
        if _may_issue(actor.actor, subject.key, at)
    ]
    assert allowed == [
        (ada.key, ada.key),
        (ben.key, bot.key),
        (ben.key, payments.key),
        (dan.key, bot.key),
        (zoe.key, ada.key),
        (zoe.key, bot.key),
        (zoe.key, payments.key),
    ]


def _may_issue(actor: object, subject_key: str, at: datetime) -> bool:
    try:
        services.issue_api_token(
            subject_key=subject_key, name="x", scopes=["read"], expires_at=at + MONTH, actor=actor, at=at
        )
    except MayNotIssueToken:
        return False
    return True


def test_a_token_of_somebody_else_is_said_not_to_exist(at: datetime) -> None:
    token, plain = api_token(person("ada"), at=at)
    with pytest.raises(NotFound):
        services.revoke_api_token(token_id=token.pk, actor=person("ben").actor, at=at)
    assert services.authenticate_api_token(plain, at=at) == token


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", " "),
        ("name", "x" * 101),
        ("scopes", []),
        ("scopes", ["everything"]),
        ("expires_at", timedelta(0)),
        ("expires_at", timedelta(days=367)),
    ],
)
def test_what_a_token_must_be_like(field: str, value: object, at: datetime) -> None:
    ada = person("ada")
    asked: dict[str, object] = {"name": "x", "scopes": ["read"], "expires_at": timedelta(days=1)}
    asked[field] = value
    asked["expires_at"] = at + asked["expires_at"]  # type: ignore[operator]
    with pytest.raises(InvalidSubject) as refused:
        services.issue_api_token(subject_key=ada.key, actor=ada.actor, at=at, **asked)  # type: ignore[arg-type]
    assert list(refused.value.fields) == [field]
    assert not ApiToken.objects.exists()


def test_a_team_has_no_tokens(at: datetime) -> None:
    with pytest.raises(InvalidSubject):
        api_token(team("shop"), at=at)


def test_the_database_knows_the_scopes(at: datetime) -> None:
    token, _ = api_token(person("ada"), at=at)
    for scopes in (["root"], []):
        with pytest.raises(IntegrityError), transaction.atomic():
            ApiToken.objects.filter(pk=token.pk).update(scopes=scopes)


class _Who(APIView):
    def get(self, request: Request) -> Response:
        return Response({"subject": request.subject.key})

    post = get


class _Question(_Who):
    token_scope = Scope.READ


def _call(view: type[APIView] = _Who, method: str = "get", **headers: str) -> Response:
    request = getattr(APIRequestFactory(enforce_csrf_checks=True), method)("/", headers=headers)
    response: Response = view.as_view()(request)
    return response


def test_the_api_knows_the_subject_of_a_token() -> None:
    _, plain = api_token(agent("bot"))
    assert _call(Authorization=f"Bearer {plain}").data == {"subject": "agent:bot"}
    assert _call(Authorization=f"bearer {plain}").data == {"subject": "agent:bot"}


def test_without_or_with_a_bad_token_the_api_says_401_and_how() -> None:
    for headers in (
        {},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic x"},
    ):
        answer = _call(**headers)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == 'Bearer realm="sallyport"'


@pytest.mark.parametrize(
    ("scopes", "view", "method", "status"),
    [
        (("read",), _Who, "get", 200),
        (("read",), _Who, "post", 403),
        (("write",), _Who, "post", 200),
        (("write",), _Who, "get", 403),
        (("edge",), _Who, "get", 403),
        (("read",), _Question, "post", 200),
    ],
)
def test_scopes(scopes: tuple[str, ...], view: type[APIView], method: str, status: int) -> None:
    _, plain = api_token(person("ada"), scopes=scopes)
    assert _call(view, method, Authorization=f"Bearer {plain}").status_code == status


def test_a_session_needs_the_csrf_token_to_write() -> None:
    request = APIRequestFactory(enforce_csrf_checks=True).post("/")
    request.user = user(person("ada"))
    assert _Who.as_view()(request).status_code == 403
