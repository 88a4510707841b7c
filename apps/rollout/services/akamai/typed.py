"""What is typed wherever a property is meant: a host it serves, and whom Akamai tells."""

from __future__ import annotations

import re

_HOSTNAME = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{1,63}")
_LOCAL = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\]):\d{1,5}")
_EMAIL = re.compile(r"[^@\s,]{1,64}@[^@\s,]{1,180}")

Complaints = dict[str, list[str]]


def is_hostname(text: str) -> bool:
    """In lower case, with a dot."""
    return _HOSTNAME.fullmatch(text) is not None


def is_local(text: str) -> bool:
    """An address on this machine."""
    return _LOCAL.fullmatch(text) is not None


def is_entry(text: str) -> bool:
    """Where calls into an edge may be made to go, other than to the host itself."""
    return is_hostname(text) or is_local(text)


def host_and_email(hostname: str, email: str, *, tells_of: str) -> tuple[str, str, Complaints]:
    """Both as they are kept, and what is wrong with them by field. ``tells_of``: why Akamai wants an address."""
    name, address = hostname.strip().lower(), email.strip()
    fields: Complaints = {}
    if not is_hostname(name):
        fields["hostname"] = ["Write a host name, such as api.example.com."]
    if not _EMAIL.fullmatch(address):
        fields["email"] = [f"Akamai wants an e-mail address to tell of {tells_of}."]
    return name, address, fields
