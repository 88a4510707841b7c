"""Our templates without their indentation: it is there for whoever reads them, and nobody need be sent it."""

from __future__ import annotations

import re

from django.template import Origin
from django.template.loaders import filesystem

BLOCKS = (
    "article aside dd details div dl dt fieldset footer h1 h2 h3 header legend li main nav ol option p section "
    "summary table tbody td th thead tr ul"
)
BEFORE_A_BLOCK = re.compile(rf"\n\s+(?=</?(?:{'|'.join(BLOCKS.split())})\b)")
INDENTATION = re.compile(r"\n\s+")


class Loader(filesystem.Loader):
    """An indented line goes on behind the one before it, after a space where one could be seen.

    What stands in ``<pre>`` must not be indented.
    """

    def get_contents(self, origin: Origin) -> str:
        return INDENTATION.sub(" ", BEFORE_A_BLOCK.sub("", super().get_contents(origin)))
