"""Our templates without their indentation: it is there for whoever reads them, and nobody need be sent it."""

from __future__ import annotations

import re

from django.template import Origin
from django.template.loaders import filesystem

INDENTATION = re.compile(r"\n\s+")


class Loader(filesystem.Loader):
    """A line break stays, so words stay apart. What stands in ``<pre>`` in a template must not be indented."""

    def get_contents(self, origin: Origin) -> str:
        return INDENTATION.sub("\n", super().get_contents(origin))
