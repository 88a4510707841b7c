from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from apps.audit.models import Event
from apps.identity import vault
from apps.outbox.models import Message
from apps.trust import selectors, services
from apps.trust.models import Purpose, SigningKey

pytestmark = pytest.mark.django_db

LIFE = services.LIFETIME[Purpose.EDGE_TOKEN]
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def keys(at: datetime) -> None:
    services.ensure_keys(at=at)


def states(purpose: Purpose = Purpose.EDGE_TOKEN) -> dict[str, str]:
    return dict(SigningKey.objects.filter(purpose=purpose).order_by("pk").values_list("kid", "state"))


def test_each_purpose_has_an_active_and_a_next_key() -> None:
    assert [list(states(purpose).values()) for purpose in Purpose] == [["active", "next"]] * 3


def test_ensuring_twice_changes_nothing(at: datetime) -> None:
    before = states()
    services.ensure_keys(at=at + DAY)
    assert states() == before
    assert Event.objects.filter(action="trust.key.changed").count() == 9


def test_nothing_turns_over_before_its_time(at: datetime) -> None:
    assert services.rotate_due(at=at + LIFE - timedelta(seconds=1)) == 0


def test_the_next_key_takes_over_and_the_old_one_is_still_believed(at: datetime) -> None:
    old, following = states()
    services.rotate_due(at=at + LIFE)
    assert list(states().items())[:2] == [(old, "retiring"), (following, "active")]
    assert list(states().values())[2] == "next"
    assert {key.kid for key in selectors.verify_keys(Purpose.EDGE_TOKEN)} == set(states())
    assert selectors.active_key(Purpose.EDGE_TOKEN).kid == following


def test_a_retired_key_is_not_believed_and_its_secret_is_gone(at: datetime) -> None:
    old = next(iter(states()))
    services.rotate_due(at=at + LIFE)
    services.rotate_due(at=at + LIFE + DAY)
    assert states()[old] == "retired"
    assert bytes(SigningKey.objects.get(kid=old).private_sealed) == b""
    assert old not in {key.kid for key in selectors.verify_keys(Purpose.EDGE_TOKEN)}


def test_turning_over_twice_at_once_turns_over_once(at: datetime) -> None:
    services.rotate_due(at=at + LIFE)
    after = states()
    assert services.rotate_due(at=at + LIFE) == 0
    assert states() == after


def test_each_change_is_recorded_and_announced(at: datetime) -> None:
    later = at + LIFE
    services.rotate_due(at=later)
    announced = Message.objects.filter(topic="trust.key.changed", created_at=later).values_list("key", flat=True)
    assert sorted(announced) == ["context"] * 3 + ["edge_token"] * 3
    assert Event.objects.filter(action="trust.key.changed", at=later).count() == 6


def test_private_halves_are_sealed_and_never_published() -> None:
    for key in SigningKey.objects.all():
        private = json.loads(vault.unseal(key.private_sealed))["d"]
        assert private.encode() not in bytes(key.private_sealed)
        assert private not in json.dumps(selectors.jwks(*Purpose))


def test_a_bundle_verifies_with_the_published_keys() -> None:
    signed = services.sign_bundle(payload={"target": "mesh", "revision": 3})
    found = jws.deserialize_compact(signed, KeySet.import_key_set(selectors.jwks(Purpose.BUNDLE)), algorithms=["ES256"])
    assert json.loads(found.payload) == {"target": "mesh", "revision": 3}
    assert found.headers()["typ"] == "bundle+jwt"


def test_another_secrets_key_is_noticed() -> None:
    sealed = vault.seal(b"secret")
    with pytest.raises(vault.WrongSecretsKey):
        vault.unseal(sealed[:-4] + b"AAAA")
