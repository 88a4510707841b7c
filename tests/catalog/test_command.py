"""``manage.py import_catalog``."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.catalog.models import Service
from tests.factories import catalog

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("import_catalog", *arguments, stdout=out, stderr=out)
    return out.getvalue().splitlines()


def test_a_dry_run_a_real_one_and_another() -> None:
    estate = str(catalog.ESTATE)
    assert run(estate, "--dry-run")[-1] == "128 would change, 0 unchanged, 0 left alone."
    assert Service.objects.count() == 0
    assert run(estate)[-1] == "128 changed, 0 unchanged, 0 left alone."
    assert run(estate) == ["0 changed, 128 unchanged, 0 left alone."]


def test_problems_are_printed_and_the_command_fails(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text("kind: Group\n")
    out = StringIO()
    with pytest.raises(CommandError, match=r"Nothing was imported: 2 problem\(s\)"):
        call_command("import_catalog", str(file), stdout=out, stderr=out)
    assert out.getvalue().splitlines() == [
        "shop.yaml, document 1, line 1: group:? apiVersion: This is needed.",
        "shop.yaml, document 1, line 1: group:? metadata.name: This is needed.",
    ]


def test_a_file_that_cannot_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (binary, tmp_path / "absent.yaml"):
        with pytest.raises(CommandError, match="cannot be read"):
            call_command("import_catalog", str(path))
