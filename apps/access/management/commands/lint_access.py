"""``manage.py lint_access``: what is wrong or idle among the grants, for a pipeline: text or JSON, and an exit code."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.utils import timezone

from apps.access.selectors.upkeep import examine
from apps.audit.commands import OperatorCommand
from apps.catalog import selectors as catalog
from apps.compiler.lint import Finding, Severity

RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
NEVER = "never"


class Command(OperatorCommand):
    help = "Examines all grants of an environment. Exits with 1 when something is as bad as --fail-on, or worse."

    def add_arguments(self, parser: ArgumentParser) -> None:
        levels = [severity.value for severity in Severity]
        parser.add_argument("--fail-on", choices=[*levels, NEVER], default=Severity.ERROR.value)
        parser.add_argument("--format", choices=["text", "json"], default="text")
        parser.add_argument("--environment", default=None, help="the default one when left out")
        parser.add_argument("--service", action="append", default=[], help="only this one, by slug (repeatable)")

    def handle(self, *args: Any, **options: Any) -> None:
        found = self._found(options["environment"], options["service"])
        self.stdout.write(as_json(found) if options["format"] == "json" else as_text(found))
        if options["fail_on"] != NEVER and any(RANK[one.severity] <= RANK[options["fail_on"]] for one in found):
            raise SystemExit(1)

    def _found(self, environment: str | None, slugs: list[str]) -> list[Finding]:
        where = catalog.get_environment(environment)
        services = [catalog.get_service(slug).pk for slug in slugs] or None
        found = examine(service_ids=services, environment_id=where.pk, at=timezone.now()).findings
        return sorted(found, key=lambda one: (RANK[one.severity], one.service, one.code, one.grant_ids))


def as_json(found: list[Finding]) -> str:
    """``{"findings": [{"code", "severity", "sentence", "grant_ids", "service"}], "counts": {severity: number}}``."""
    return json.dumps({"findings": [asdict(one) for one in found], "counts": counts(found)}, indent=2)


def as_text(found: list[Finding]) -> str:
    lines = [f"{one.severity}  {one.service}  {one.code}: {one.sentence} [{', '.join(one.grant_ids)}]" for one in found]
    told = ", ".join(f"{many} {severity}{'' if many == 1 else 's'}" for severity, many in counts(found).items())
    return "\n".join([*lines, told])


def counts(found: list[Finding]) -> dict[str, int]:
    return {severity.value: sum(one.severity is severity for one in found) for severity in RANK}
