"""Closed by default, hidden where it is not yours, and a refusal leaves nothing behind: for every named address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import LazySettings
from django.test import Client
from django.urls import get_resolver, reverse
from django.urls.resolvers import URLPattern, URLResolver
from pytest_django import DjangoDbBlocker

from apps.audit.models import Event
from apps.identity.models import Subject
from tests.arch.url_matrix import MATRIX, Row
from tests.factories import identity, pages
from tests.schema import empty

ELSEWHERE = {"admin"}
"""Django's own admin checks itself; who may open it is tested with identity."""

SESSIONS = "identity.session."


def all_url_names(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            if pattern.namespace not in ELSEWHERE:
                inner = f"{prefix}{pattern.namespace}:" if pattern.namespace else prefix
                yield from all_url_names(pattern, inner)
        elif isinstance(pattern, URLPattern) and pattern.name:
            yield f"{prefix}{pattern.name}"


def test_every_named_url_has_a_row() -> None:
    named = set(all_url_names(get_resolver()))
    assert named - MATRIX.keys() == set(), "add rows"
    assert MATRIX.keys() - named == set(), "remove stale rows"


def ask(client: Client, name: str, row: Row, there: pages.House) -> tuple[int, int]:
    """The answer, and how much more is on the record for it."""
    before = Event.objects.exclude(action__startswith=SESSIONS).count()
    data = dict(row.data(there))
    kind = {"content_type": "application/json"} if name.startswith("api:") and row.method == "post" else {}
    answer = getattr(client, row.method)(reverse(name, args=row.args(there)), data, headers=row.headers, **kind)
    return answer.status_code, Event.objects.exclude(action__startswith=SESSIONS).count() - before


@pytest.fixture(scope="module")
def there(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[pages.House]:
    """Built once and committed, because it takes longer than a row does; what a row changes is rolled back."""
    with django_db_blocker.unblock():
        yield pages.house()
        empty()


def afresh(subject: Subject) -> Subject:
    """Nothing of it remembers a row before."""
    return Subject.objects.get(pk=subject.pk)


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(MATRIX))
def test_each_caller_gets_what_is_theirs(name: str, there: pages.House, settings: LazySettings) -> None:
    settings.SALLYPORT_AWS_SYNC_ROLES = ["own"]
    row = MATRIX[name]
    unconcerned = identity.person("zed")
    people: dict[str, Subject] = {
        "olga": afresh(there.olga),
        "ada": afresh(there.shop.ada),
        "ben": afresh(there.shop.ben),
        "cyd": afresh(there.shop.cyd),
    }
    anonymous = ask(Client(), name, row, there)
    wrong = ask(pages.signed_in(unconcerned), name, row, there)
    agent = ask(pages.signed_in(afresh(there.shop.bot)), name, row, there)
    right = ask(pages.signed_in(people[row.by]), name, row, there)
    assert (anonymous[0], wrong[0], agent[0], right[0]) == (row.anonymous, row.wrong, row.agent, row.right)
    assert anonymous[1] == 0, "nobody changed something"
    if row.changes:
        assert (wrong[1], agent[1]) == (0, 0), "a refusal left something behind"
        assert right[1] > 0, "nothing was recorded"
