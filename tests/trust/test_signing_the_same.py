"""Signatures that are equal for equal content, so that files can be compared."""

from __future__ import annotations

import pytest
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet

from apps.compiler.surroundings import SigningKey
from apps.trust import jose

KEY = SigningKey("k1", jose.new_jwk())


def keys(key: SigningKey = KEY) -> KeySet:
    return KeySet.import_key_set({"keys": [jose.published(key.kid, key.jwk)]})


def test_equal_content_gives_equal_text_that_others_believe() -> None:
    first, second = (jose.sign_the_same(b'{"a":1}', key=KEY, typ="export+jws") for _ in range(2))
    assert first == second
    found = jws.deserialize_compact(first, keys(), algorithms=["ES256"])
    assert (found.payload, found.headers()) == (b'{"a":1}', {"alg": "ES256", "typ": "export+jws", "kid": "k1"})


def test_another_content_or_key_does_not_pass() -> None:
    signed = jose.sign_the_same(b"{}", key=KEY, typ="export+jws")
    assert signed != jose.sign_the_same(b"[]", key=KEY, typ="export+jws")
    with pytest.raises(BadSignatureError):
        jws.deserialize_compact(signed, keys(SigningKey("k1", jose.new_jwk())), algorithms=["ES256"])
