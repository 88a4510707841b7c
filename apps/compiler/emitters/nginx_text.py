"""How text becomes NGINX configuration: quoting, and the keys of the policy map.

NGINX compares map keys without respect to case, and one key longer than a hash bucket keeps it from starting. So a key
spells out capitals, blanks and everything that is syntax, and a long one is replaced by its hash. The njs side
(assets/nginx/js/policy.js) makes the same keys; the agreement tests hold the two together.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from string import Template

LONGEST_KEY = 160

_UNSAFE = re.compile(r"""[\x00-\x20"$';A-Z\\^{}\x7f]""")


class UnspeakableError(ValueError):
    """A name with a dollar sign, which NGINX takes for a variable and which it has no way to escape."""


class Form(Template):
    """``@@{name}`` is filled in; everything else, dollar signs included, is NGINX's."""

    delimiter = "@@"
    idpattern = r"(?!)"
    braceidpattern = r"[a-z_]+"


def quoted(text: str) -> str:
    """A configuration word with exactly this value; raises UnspeakableError."""
    if "$" in text:
        raise UnspeakableError(f"A dollar sign cannot be written in NGINX configuration: {text!r}")
    mark = "'" if '"' in text else '"'
    return mark + text.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark


def policy_key(*parts: str) -> str:
    """The parts as one key of a map. Parts that hold a space cannot pass for two; what is too long becomes a digest."""
    key = " ".join(_UNSAFE.sub(_escaped, part) for part in parts)
    return key if len(key) <= LONGEST_KEY else f"sha256 {hashlib.sha256(key.encode()).hexdigest()}"


def _escaped(found: re.Match[str]) -> str:
    letter = found[0]
    return f"^{letter.lower()}" if letter.isupper() else f"^{ord(letter)}."


def map_file(rows: Iterable[tuple[str, str]]) -> str:
    """Lines of a map block, sorted."""
    return "".join(f"{quoted(key)} {quoted(value)};\n" for key, value in sorted(rows))
