"""Deleting code versions nobody needs, long before Akamai's limit of 1000 for each EdgeWorker is met.

A deleted version's name can never be used again, so it is written down before it is deleted.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.audit.actors import SYSTEM
from apps.rollout.drivers.akamai.errors import as_documented, explain
from apps.rollout.drivers.base import VendorError
from apps.rollout.models import DriverName, EdgeMove, RetiredVersion, Target
from apps.rollout.services import moving
from apps.rollout.services.driving import akamai_driver
from apps.rollout.services.evidence import record_target

KEEP = 20
AT_ONCE = 20
"""So many are deleted in one go; the next tidying takes the rest."""


def tidy_all(*, at: datetime) -> None:
    for target in Target.objects.filter(driver=DriverName.AKAMAI).order_by("slug"):
        if target.is_called and not moving.needs_setup(target):
            tidy(target=target, at=at)


def tidy(*, target: Target, at: datetime, keep: int = KEEP) -> tuple[str, ...]:
    """Delete all but the newest ``keep``, what is live and what is under way; the names that went.

    On an EdgeWorker that a person chose, versions that were not activated from here are somebody else's and stay. When
    Akamai refuses, the rest stays until the next time.
    """
    gone: list[str] = []
    try:
        with akamai_driver(target, at) as driver, as_documented():
            spare = _ours(target, driver.code.spare_versions(keep))[:AT_ONCE]
            _write_down(target, spare, at)
            for version in spare:
                driver.code.delete_version(version)
                gone.append(version)
    except VendorError as error:
        Target.objects.filter(pk=target.pk, error="").update(error=str(error), error_at=at, trouble=explain(error).code)
    return tuple(gone)


def _ours(target: Target, versions: tuple[str, ...]) -> tuple[str, ...]:
    if target.config.get("edgeworker_id") is None:
        return versions
    known = set(EdgeMove.objects.filter(target=target, version__in=versions).values_list("version", flat=True))
    return tuple(version for version in versions if version in known)


def _write_down(target: Target, versions: tuple[str, ...], at: datetime) -> None:
    if not versions:
        return
    with transaction.atomic():
        rows = [RetiredVersion(target=target, version=version, retired_at=at) for version in versions]
        RetiredVersion.objects.bulk_create(rows, ignore_conflicts=True)
        record_target("versions.deleted", target, actor=SYSTEM, at=at, after={"versions": list(versions)})
