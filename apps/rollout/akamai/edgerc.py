"""What an ``.edgerc`` file or the environment says of an EdgeGrid credential. Complaints name the line, never a value.

The file is INI: sections with host, client_token, client_secret, access_token and optionally max_body, as Akamai's own
tools read it (techdocs.akamai.com, "Authenticate with EdgeGrid"). Other keys are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from apps.audit.errors import InvalidInput

DEFAULT_SECTION = "default"
MAX_BODY = 131_072
LARGEST_FILE = 64 * 1024
NEEDED = ("host", "client_token", "client_secret", "access_token")
ENVIRONMENT = "AKAMAI"

_SECTION = re.compile(r"\[([^\[\]]+)\]")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?")
_TOKEN = re.compile(r"[\x21-\x3a\x3c-\x7e]+")
"""Printable, without blanks and without the semicolon that separates the fields of the signature's header."""


class BadEdgerc(InvalidInput):
    code = "bad_edgerc"
    default_message = "The credential cannot be read."

    def __init__(self, complaint: str) -> None:
        super().__init__(complaint, fields={"edgerc": [complaint]})


@dataclass(frozen=True, slots=True)
class EdgeGridCredential:
    """``source`` says where it came from, in words that may be recorded. ``max_body`` is in bytes."""

    host: str
    client_token: str = field(repr=False)
    client_secret: str = field(repr=False)
    access_token: str = field(repr=False)
    max_body: int = MAX_BODY
    source: str = ""


@dataclass(frozen=True, slots=True)
class _Value:
    text: str
    place: str


def parse_edgerc(text: str, section: str = DEFAULT_SECTION) -> EdgeGridCredential:
    """One section of the file. Raises BadEdgerc, naming the line."""
    if len(text) > LARGEST_FILE:
        raise BadEdgerc("This is too long for an .edgerc file.")
    sections = _sections(text)
    found = sections.get(section)
    if found is None:
        held = ", ".join(sections) or "none"
        raise BadEdgerc(f"There is no section [{section}]. The file's sections: {held}.")
    return _credential(found, f"the section [{section}]", f"an .edgerc file, section {section}")


def from_environment(environment: Mapping[str, str], section: str = DEFAULT_SECTION) -> EdgeGridCredential:
    """AKAMAI_HOST and so on for the default section, AKAMAI_<SECTION>_HOST for another. Raises BadEdgerc."""
    prefix = ENVIRONMENT if section == DEFAULT_SECTION else f"{ENVIRONMENT}_{section.upper()}"
    found = {
        name: _Value(environment[variable].strip(), variable)
        for name in (*NEEDED, "max_body")
        if (variable := f"{prefix}_{name.upper()}") in environment
    }
    missing = [f"{prefix}_{name.upper()}" for name in NEEDED if name not in found]
    if missing:
        raise BadEdgerc(f"The environment of this process lacks {', '.join(missing)}.")
    return _credential(found, "the environment", f"the environment, {prefix}_*")


def _sections(text: str) -> dict[str, dict[str, _Value]]:
    found: dict[str, dict[str, _Value]] = {}
    current: dict[str, _Value] | None = None
    for number, raw in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if header := _SECTION.fullmatch(line):
            name = header[1].strip()
            if name in found:
                raise BadEdgerc(f"Line {number}: the section [{name}] is there twice.")
            current = found.setdefault(name, {})
        else:
            _take(line, number, current)
    return found


def _take(line: str, number: int, section: dict[str, _Value] | None) -> None:
    """A secret may end in ``=``, so only the first separator counts."""
    match = re.match(r"([A-Za-z_-]+)\s*[=:]\s*(.*)", line)
    if match is None:
        raise BadEdgerc(f"Line {number}: expected [section] or name = value.")
    if section is None:
        raise BadEdgerc(f"Line {number}: a value before the first [section].")
    name = match[1].lower().replace("-", "_")
    if name in section:
        raise BadEdgerc(f"Line {number}: {name} is there twice.")
    section[name] = _Value(match[2].strip(), f"Line {number}")


def _credential(found: Mapping[str, _Value], where: str, source: str) -> EdgeGridCredential:
    missing = [name for name in NEEDED if not found.get(name) or not found[name].text]
    if missing:
        raise BadEdgerc(f"{where[0].upper()}{where[1:]} lacks {', '.join(missing)}.")
    for name in NEEDED[1:]:
        if not _TOKEN.fullmatch(found[name].text):
            raise BadEdgerc(f"{found[name].place}: {name} holds a character that no token has.")
    return EdgeGridCredential(
        host=_host(found["host"]),
        client_token=found["client_token"].text,
        client_secret=found["client_secret"].text,
        access_token=found["access_token"].text,
        max_body=_max_body(found.get("max_body")),
        source=source,
    )


def _host(given: _Value) -> str:
    """Without scheme and slash, in lower case."""
    host = given.text.lower().removeprefix("https://").removeprefix("http://").rstrip("/")
    if not _HOST.fullmatch(host):
        raise BadEdgerc(f"{given.place}: host must be a host name such as akab-xxxx.luna.akamaiapis.net.")
    return host


def _max_body(given: _Value | None) -> int:
    if given is None:
        return MAX_BODY
    if not given.text.isascii() or not given.text.isdigit() or not 1024 <= int(given.text) <= 100 * MAX_BODY:
        raise BadEdgerc(f"{given.place}: max_body must be a number of bytes, usually {MAX_BODY}.")
    return int(given.text)
