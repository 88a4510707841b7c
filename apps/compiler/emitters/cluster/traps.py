"""What a reviewer must know before Kubernetes objects are applied, because nothing in the objects says it."""

from __future__ import annotations

from dataclasses import dataclass

from apps.compiler.lint import Severity


@dataclass(frozen=True, slots=True)
class Trap:
    """``code`` is for programs and stable; ``sentence`` is for whoever reads the plan.

    An error means that the objects do not do what the graph says, a warning that they do more to somebody than the
    change seems to, a note that something is different from the other doors.
    """

    code: str
    sentence: str
    severity: Severity = Severity.WARNING
