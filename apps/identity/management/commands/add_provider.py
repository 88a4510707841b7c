from __future__ import annotations

import sys
from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.audit.actors import SYSTEM
from apps.audit.errors import Refusal
from apps.identity import services
from apps.identity.models import ClientAuth, Preset, Provider
from apps.identity.providers.addresses import addresses_of
from apps.identity.providers.discovery import Report, examine
from apps.identity.providers.presets import GUIDES, Guide


class Command(BaseCommand):
    help = (
        "Set an identity provider up without a browser: added, tested, and switched on when nothing stops a sign-in. "
        "Reads the client secret from the file given, or from the standard input."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="short name; part of the addresses the provider has to know")
        kinds = [preset.value for preset in GUIDES]
        parser.add_argument("--preset", choices=kinds, default=Preset.OTHER, help="which directory it is")
        parser.add_argument("--name", help="as on the button; the short name when it is not given")
        parser.add_argument("--issuer", default="", help="exactly as in the provider's metadata")
        parser.add_argument("--client-id", required=True)
        parser.add_argument("--client-secret-file", type=Path, help="its only line is the secret")
        parser.add_argument("--client-auth", choices=ClientAuth.values, help="instead of the preset's")
        parser.add_argument("--ask-again", type=int, metavar="MINUTES", help="instead of the preset's; 0 is never")
        parser.add_argument("--tenant", default="", help="what the preset's pinned claim must say")
        parser.add_argument("--scopes", help="instead of the preset's, with spaces")
        parser.add_argument("--groups-claim", nargs="*", metavar="KEY", help="instead of the preset's: a path of keys")
        parser.add_argument("--allowed-domain", action="append", default=[], help="may be repeated")
        parser.add_argument("--refuse-newcomers", action="store_true", help="only people who are linked may sign in")

    def handle(self, *_: object, **options: Any) -> None:
        at, slug = timezone.now(), options["slug"]
        try:
            provider = services.add_provider(
                slug=slug, facts=_facts(options), client_secret=_secret(options), actor=SYSTEM, at=at
            )
            report = examine(provider, at=at)
            self._say(report, provider)
            if not report.is_usable:
                raise CommandError(
                    f"{slug} is added and switched off. Change and test it under Settings, Trust, Providers."
                )
            _switch_on(provider, report, at)
        except Refusal as refusal:
            details = [f"{name}: {line}" for name, lines in refusal.fields.items() for line in lines]
            raise CommandError(" ".join([refusal.message, *details])) from refusal
        self.stdout.write(f"People can sign in with {provider.name}.")

    def _say(self, report: Report, provider: Provider) -> None:
        for what, address in addresses_of(provider.slug).items():
            self.stdout.write(f"{what}: {address}")
        for problem in report.problems:
            self.stderr.write(f"{'Wrong' if problem.stops else 'Beware'}: {problem.words}")


def _switch_on(provider: Provider, report: Report, at: datetime) -> None:
    services.note_discovery(slug=provider.slug, endpoints=report.endpoints, actor=SYSTEM, at=at)
    services.switch_provider(slug=provider.slug, enabled=True, actor=SYSTEM, at=at)


def _facts(options: dict[str, Any]) -> services.ProviderFacts:
    guide = GUIDES[Preset(options["preset"])]
    claim = options["groups_claim"]
    return services.ProviderFacts(
        name=options["name"] or options["slug"],
        issuer=options["issuer"] or guide.issuer,
        client_id=options["client_id"],
        preset=options["preset"],
        client_auth=options["client_auth"] or guide.client_auth,
        algorithms=guide.algorithms,
        scopes=options["scopes"] or guide.scopes,
        subject_claim=guide.subject_claim,
        groups_claim=guide.groups_claim if claim is None else claim,
        allowed_domains=sorted({one.lower() for one in options["allowed_domain"]}),
        tenant_claim=guide.tenant_claim if options["tenant"] else "",
        tenant=options["tenant"],
        creates_people=not options["refuse_newcomers"],
        ask_again_minutes=_minutes(options, guide),
    )


def _minutes(options: dict[str, Any], guide: Guide) -> int:
    given: int | None = options["ask_again"]
    return given if given is not None else services.USUAL_MINUTES if guide.asks_again else 0


def _secret(options: dict[str, Any]) -> str:
    if options["client_auth"] == ClientAuth.PRIVATE_KEY:
        return ""
    path: Path | None = options["client_secret_file"]
    text = path.read_text(encoding="utf-8") if path is not None else sys.stdin.readline()
    return text.strip()
