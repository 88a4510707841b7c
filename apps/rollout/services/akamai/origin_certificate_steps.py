"""The steps a worker takes until the edge shows a certificate that is good for long enough. Each begins from what is
there, so it may be repeated, and a worker may die anywhere.

The order is what keeps the doors believing each other: the newer version is signed and deployed, the mesh has learnt
it, then the property names it on staging and on production, and only a day later the older one is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta

from django.db import transaction

from apps.audit.actors import SYSTEM, Actor
from apps.audit.errors import Refusal
from apps.rollout.drivers.akamai.errors import as_documented
from apps.rollout.drivers.akamai.keystore import (
    AWAITING,
    DEPLOYED,
    GOING,
    CertificateVersion,
    CertificateWish,
    KeystoreDriver,
)
from apps.rollout.drivers.akamai.property import Property, PropertyDriver
from apps.rollout.drivers.akamai.rules import certificate_of, is_renewal
from apps.rollout.drivers.base import VendorError
from apps.rollout.models import DriverName, OriginCertificate, PendingChange, PropertyChange, Target
from apps.rollout.services.akamai import attaching
from apps.rollout.services.akamai.attached import attached
from apps.rollout.services.akamai.origin_certificates import OVERLAP, RENEW_BEFORE
from apps.rollout.services.driving import akamai_api
from apps.rollout.services.evidence import record_target, tell_pages
from apps.rollout.services.putting_off import claim, put_off, settled
from apps.rollout.states import OPEN_PROPERTIES, WORKING_PROPERTIES, PropertyState
from apps.trust import services as trust

POLL, LOOK = timedelta(seconds=10), timedelta(hours=1)
STANDING = timedelta(minutes=1)
"""Between looks while the property waits for a person, which may be days."""

AGAIN = timedelta(hours=6)
"""After a change of the property failed it is compared once more: what it names goes on running out."""
RENEWING = Actor(SYSTEM.id, "Sallyport, for the client certificate")

Clock = Callable[[], datetime]


class NoEdgeWorkload(VendorError):
    """No mesh of the environment says which workload the edge is, so nobody could believe its certificate."""


def due(at: datetime) -> list[int]:
    return list(OriginCertificate.objects.filter(retry_at__lte=at).order_by("pk").values_list("pk", flat=True))


def run(*, row_id: int, clock: Clock) -> bool:
    """Take the step that is due. False when there is none, or somebody else is at it."""
    row = claim(OriginCertificate.objects.select_related("target__environment"), row_id, clock())
    if row is None:
        return False
    lease = row.retry_at
    try:
        with closing(akamai_api(row.target)) as api, as_documented():
            _step(row, KeystoreDriver(api), PropertyDriver(api), clock)
    except VendorError as error:
        put_off(row, error, clock(), words=error.text if isinstance(error, NoEdgeWorkload) else "")
    except Refusal as refusal:
        put_off(row, VendorError(row.hostname, 0, refusal.message), clock(), words=refusal.message)
    _save(row, lease, clock())
    return True


def _step(row: OriginCertificate, keystore: KeystoreDriver, properties: PropertyDriver, clock: Clock) -> None:
    if row.certificate_id is None:
        row.certificate_id = _certificate(row, keystore, properties)
    held = keystore.versions(row.certificate_id)
    if held is None:  # somebody deleted it at Akamai: it is looked for by its name, or made again
        row.certificate_id, row.deployed_guid, row.deployed_until, row.planned_guid = None, "", None, ""
        settled(row, clock() + POLL)
        return
    versions = [one for one in held if one.status != GOING]
    _note(row, versions)
    at, row.waiting_for = clock(), ""
    if versions and versions[0].status != DEPLOYED:
        # A newer version is on its way already, perhaps from before we died: one is enough.
        row.renew_asked = False
    if not versions or (versions[0].status == DEPLOYED and _is_due(row, versions[0], at)):
        keystore.rotate(row.certificate_id)
        row.renew_asked = False
        settled(row, at)
    elif versions[0].status == AWAITING:
        _sign(row, versions[0], keystore, at)
        settled(row, clock() + POLL)
    elif versions[0].status != DEPLOYED:
        settled(row, at + POLL)
    else:
        _use(row, versions, (keystore, properties), clock())


def _certificate(row: OriginCertificate, keystore: KeystoreDriver, properties: PropertyDriver) -> int:
    """Found by its name, or made. With the contract and group of the property that will name it."""
    known = keystore.find(name_of(row.target))
    if known is not None:
        return known
    return keystore.create(wish_of(row, properties.find(row.hostname)))


def wish_of(row: OriginCertificate, found: Property) -> CertificateWish:
    return CertificateWish(name_of(row.target), found.contract, found.group, (row.email,))


def name_of(target: Target) -> str:
    """Of its client certificate; unique in the account."""
    return f"sallyport-{target.slug}"


def _is_due(row: OriginCertificate, newest: CertificateVersion, at: datetime) -> bool:
    return row.renew_asked or (newest.expires_at is not None and newest.expires_at - RENEW_BEFORE <= at)


def _sign(row: OriginCertificate, version: CertificateVersion, keystore: KeystoreDriver, at: datetime) -> None:
    """Signing tells the mesh of the certificate by itself, long before the edge shows it."""
    issued = trust.issue_certificate(
        workload=_edge_workload(row.target), csr_pem=version.csr, node=f"akamai:{row.target.slug}", actor=SYSTEM, at=at
    )
    keystore.upload(
        int(row.certificate_id or 0), version.number, certificate=issued.certificate_pem, chain=issued.ca_pem
    )


def _edge_workload(target: Target) -> str:
    meshes = Target.objects.filter(environment=target.environment, driver=DriverName.NGINX)
    for config in meshes.order_by("slug").values_list("config", flat=True):
        if config.get("edge_workload"):
            return str(config["edge_workload"])
    words = f"No mesh of {target.environment.name} names the workload of its edge (edge_workload)."
    raise NoEdgeWorkload("The edge's identity", 404, words)


# -- naming it in the property ------------------------------------------------------------------------------------
def _use(
    row: OriginCertificate,
    versions: Sequence[CertificateVersion],
    drivers: tuple[KeystoreDriver, PropertyDriver],
    at: datetime,
) -> None:
    keystore, properties = drivers
    row.deployed_guid, row.deployed_until = versions[0].guid, versions[0].expires_at
    shown = _shown(row, properties)
    if shown != row.bound_guid:
        row.bound_guid, row.bound_at = shown, at
    if shown != row.deployed_guid:
        row.waiting_for = _mesh_behind(row.target)
        moves = bool(row.waiting_for) or _plan(row, at)
        settled(row, at + (POLL if moves else STANDING))
        return
    old = versions[1:] if row.bound_at is not None and row.bound_at + OVERLAP <= at else ()
    for version in old:
        keystore.delete(int(row.certificate_id or 0), version.number)
    settled(row, at + (POLL if old else LOOK))


def _mesh_behind(target: Target) -> str:
    """The mesh learns of a certificate when it is signed. Until every node has, the edge must not show it."""
    meshes = Target.objects.filter(environment=target.environment, driver=DriverName.NGINX).order_by("slug")
    for mesh in meshes:
        if mesh.active_number < mesh.latest_number or PendingChange.objects.filter(target=mesh).exists():
            return f"{mesh.name} does not know the new certificate yet."
    return ""


def _shown(row: OriginCertificate, properties: PropertyDriver) -> str:
    """What the version that is live on production names."""
    found = properties.find(row.hostname)
    if found.production is None:
        return ""
    return certificate_of(properties.rules(found, found.production).rules, attached(row.target, ()).mark)


def _plan(row: OriginCertificate, at: datetime) -> bool:
    """Have the property compared, once for each version; and agree, where a person agreed in advance.

    True while that moves by itself.
    """
    change = PropertyChange.objects.filter(target=row.target).order_by("-pk").first()
    if change is not None and change.state in OPEN_PROPERTIES:
        if _may_agree(row, change):
            attaching.agree_to_renewal(change_id=change.pk, standing=row.agreed_by, at=at)
            return True
        return change.state in WORKING_PROPERTIES
    if row.planned_guid == row.deployed_guid and not _failed_a_while_ago(change, at):
        return False
    _save_deployed(row)
    attaching.ask(slug=row.target.slug, hostname=row.hostname, removal=False, email=row.email, actor=RENEWING, at=at)
    row.planned_guid = row.deployed_guid
    return True


def _failed_a_while_ago(change: PropertyChange | None, at: datetime) -> bool:
    """Only what failed: a person who dropped it meant it."""
    if change is None or change.asked_by != RENEWING.name:
        return False
    return change.state == PropertyState.FAILED and change.asked_at + AGAIN <= at


def _may_agree(row: OriginCertificate, change: PropertyChange) -> bool:
    """Only to what we asked for ourselves, and only when nothing but the version changes."""
    ours = change.state == PropertyState.PLANNED and change.asked_by == RENEWING.name
    return ours and bool(row.agreed_by) and row.planned_guid == row.deployed_guid and is_renewal(change.diff)


def _save_deployed(row: OriginCertificate) -> None:
    """Before the comparison is asked for: it reads what the rule should name from here."""
    OriginCertificate.objects.filter(pk=row.pk).update(deployed_guid=row.deployed_guid)


def _note(row: OriginCertificate, versions: Sequence[CertificateVersion]) -> None:
    row.versions = [
        {
            "number": one.number,
            "guid": one.guid,
            "status": one.status,
            "expires_at": one.expires_at.isoformat() if one.expires_at else "",
        }
        for one in versions
    ]


KEPT = (
    *("certificate_id", "versions", "deployed_guid", "deployed_until", "bound_guid", "bound_at"),
    *("planned_guid", "error", "attempts", "renew_asked", "waiting_for"),
)


def _save(row: OriginCertificate, lease: datetime, at: datetime) -> None:
    """What a person asked for meanwhile stays, and is looked at at once."""
    with transaction.atomic():
        rows = OriginCertificate.objects.select_for_update(of=("self",)).select_related("target")
        fresh = rows.filter(pk=row.pk).first()
        if fresh is None:  # its target was taken out of Akamai meanwhile
            return
        before, alone = fresh.bound_guid, fresh.retry_at == lease
        for field in KEPT if alone else KEPT[:6]:
            setattr(fresh, field, getattr(row, field))
        fresh.checked_at = at
        fresh.retry_at = row.retry_at if alone else at
        fresh.save()
        if fresh.bound_guid and fresh.bound_guid != before:
            after = {"version": fresh.bound_guid}
            record_target("origin_certificate.shown", fresh.target, actor=SYSTEM, at=at, after=after)
        tell_pages()
