"""``manage.py issue_certificate WORKLOAD``: a key made here, and a certificate for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from apps.audit.commands import OPERATOR, OperatorCommand
from apps.trust import pki, services


class Command(OperatorCommand):
    help = "Make a private key and have the mesh authority sign a certificate for a known workload."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workload", help="its SPIFFE id, such as spiffe://shop.test/ns/edge/sa/edge")
        parser.add_argument("--key-out", type=Path, required=True, help="where the private key goes (mode 0600)")
        parser.add_argument("--cert-out", type=Path, required=True)
        parser.add_argument("--ca-out", type=Path, required=True)
        parser.add_argument("--node", default="console", help="what will hold the key; kept in the record")

    def handle(self, *args: Any, **options: Any) -> None:
        key = pki.new_private_key()
        issued = services.issue_certificate(
            workload=options["workload"],
            csr_pem=pki.new_request(key),
            node=options["node"],
            actor=OPERATOR,
            at=timezone.now(),
        )
        _write_private(options["key_out"], pki.private_pem(key))
        options["cert_out"].write_text(issued.certificate_pem, encoding="utf-8")
        options["ca_out"].write_text(issued.ca_pem, encoding="utf-8")
        self.stdout.write(f"Issued until {issued.not_after:%Y-%m-%d %H:%M} UTC.")


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
