"""What an .edgerc file says, and where it is wrong."""

from __future__ import annotations

import pytest

from apps.rollout.akamai.edgerc import BadEdgerc, EdgeGridCredential, from_environment, parse_edgerc

GOOD = """
; from Control Center
[default]
host = https://AKAB-one.luna.akamaiapis.net/
client_token = akab-client
client_secret = c2VjcmV0=
access_token = akab-access
max-body = 131072
headers_to_sign = x-a

[staging]
host: akab-two.luna.akamaiapis.net
client_token: akab-client-2
client_secret: s==
access_token: akab-access-2
"""


def test_a_section_is_read_with_a_secret_that_ends_in_an_equals_sign() -> None:
    assert parse_edgerc(GOOD) == EdgeGridCredential(
        host="akab-one.luna.akamaiapis.net",
        client_token="akab-client",
        client_secret="c2VjcmV0=",
        access_token="akab-access",
        max_body=131_072,
        source="an .edgerc file, section default",
    )


def test_another_section_and_colons() -> None:
    found = parse_edgerc(GOOD, "staging")
    assert (found.host, found.client_secret, found.max_body) == ("akab-two.luna.akamaiapis.net", "s==", 131_072)


def test_its_repr_holds_no_secret() -> None:
    shown = repr(parse_edgerc(GOOD))
    assert all(secret not in shown for secret in ("akab-client", "c2VjcmV0=", "akab-access"))


LINES = "[default]\nhost = h.akamaiapis.net\nclient_token = a\nclient_secret = b\naccess_token = c\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "There is no section [default]. The file's sections: none."),
        ("host = x\n[default]", "Line 1: a value before the first [section]."),
        ("[default]\nnonsense", "Line 2: expected [section] or name = value."),
        ("[default]\n[default]", "Line 2: the section [default] is there twice."),
        (LINES + "host = other", "Line 6: host is there twice."),
        (LINES.replace("h.akamaiapis.net", "not a host"), "Line 2: host must be a host name such as"),
        (LINES.replace("= b", "= b b"), "Line 4: client_secret holds a character that no token has."),
        (LINES.replace("= c", "= c;d"), "Line 5: access_token holds a character that no token has."),
        (LINES + "max_body = lots", "Line 6: max_body must be a number of bytes"),
        (LINES.replace("client_token = a\n", ""), "The section [default] lacks client_token."),
        (LINES.replace("= a", "="), "The section [default] lacks client_token."),
        ("x" * 70_000, "This is too long for an .edgerc file."),
    ],
)
def test_a_complaint_names_the_line(text: str, complaint: str) -> None:
    with pytest.raises(BadEdgerc) as refused:
        parse_edgerc(text)
    assert refused.value.message.startswith(complaint)
    assert refused.value.fields == {"edgerc": [refused.value.message]}


def test_no_complaint_repeats_a_value() -> None:
    with pytest.raises(BadEdgerc) as refused:
        parse_edgerc(LINES.replace("= b", "= top secret"))
    assert "top" not in refused.value.message


ENVIRONMENT = {
    "AKAMAI_HOST": "h.akamaiapis.net",
    "AKAMAI_CLIENT_TOKEN": "a",
    "AKAMAI_CLIENT_SECRET": "b",
    "AKAMAI_ACCESS_TOKEN": "c",
    "AKAMAI_MAX_BODY": "2048",
}


def test_the_environment_is_read_by_akamais_names() -> None:
    found = from_environment(ENVIRONMENT)
    assert (found.host, found.client_token, found.max_body) == ("h.akamaiapis.net", "a", 2048)
    assert found.source == "the environment, AKAMAI_*"
    named = {name.replace("AKAMAI_", "AKAMAI_PROD_"): value for name, value in ENVIRONMENT.items()}
    assert from_environment(named, "prod").access_token == "c"


def test_what_the_environment_lacks_is_named() -> None:
    with pytest.raises(BadEdgerc, match="lacks AKAMAI_PROD_HOST, AKAMAI_PROD_CLIENT_TOKEN"):
        from_environment(ENVIRONMENT, "prod")
