"""The stream of log lines of an edge target: asked for, stopped, and its secret turned over.

Here only rows are written; a worker takes the steps at Akamai (``streaming_steps``). Deliveries prove themselves with
a secret that no page shows: it is made here and goes to Akamai, and two are believed while one takes over.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.errors import InvalidInput, NotFound, Refusal
from apps.identity import vault
from apps.outbox import services as outbox
from apps.rollout.drivers.akamai.stream import ACTIVATED
from apps.rollout.models import DriverName, EdgeStream, StreamKey, Target
from apps.rollout.services.akamai import attaching
from apps.rollout.services.akamai.typed import host_and_email, is_hostname
from apps.rollout.services.evidence import record_target, tell_pages
from apps.rollout.services.targets import BadTarget, get_target, require_called

CHANGED = "rollout.stream.changed"
MOST_KEYS = 2
USE_NOTED_EVERY = timedelta(seconds=30)
RECEIVER = "/telemetry/v1/datastream/"
_NO_HASH = "0" * 64
_ONLY_HTTPS = "Akamai delivers to https:// and a host name only, without a path."
_ONLY_HERE = "This edge runs on this machine and delivers to this machine only, such as http://127.0.0.1:8000."


class NoStream(NotFound):
    code = "no_stream"
    default_message = "This target has no stream of log lines yet."


class SecretUnderWay(Refusal):
    code = "secret_under_way"
    default_message = "Two secrets are believed already: end the older one first, or wait until it ends by itself."


class SecretNotReplaced(Refusal):
    """Ending it would refuse what Akamai delivers."""

    code = "secret_not_replaced"
    default_message = "Akamai still delivers with this secret. Wait until the stream is active with the newer one."


@dataclass(frozen=True, slots=True)
class StreamRight:
    """Whose lines a delivery may bring."""

    stream: int
    target: str


@dataclass(frozen=True, slots=True)
class StreamInput:
    """``address`` is where Akamai reaches this console: scheme and host. ``stream_id`` names a stream to adopt."""

    hostname: str
    email: str
    address: str
    stream_id: int | None = None


def ask(*, slug: str, given: StreamInput, actor: Actor, at: datetime) -> EdgeStream:
    """Have a worker make the stream, adopt the one of our name, or change it to this. Asking again starts it again.

    Of a stream named by its number the worker shows first what it is; see ``adopting_streams``.
    """
    target = get_target(slug)
    if target.driver != DriverName.AKAMAI:
        raise BadTarget(f"{target.name} has no log lines at Akamai.")
    require_called(target)
    given = _checked(target, given)
    with transaction.atomic():
        Target.objects.select_for_update(of=("self",)).get(pk=target.pk)
        stream = EdgeStream.objects.filter(target=target).first() or EdgeStream(target=target)
        stream.hostname, stream.email, stream.address = given.hostname, given.email, given.address
        stream.wanted, stream.asked_by, stream.asked_at = True, actor.name[:200], at
        stream.adopting, stream.candidate, stream.agreed_version = _to_adopt(stream, given), {}, None
        due_now(stream, at)
        if not believed(stream):
            make_key(stream, at)
        more = {"adopting": stream.adopting} if stream.adopting else {}
        tell(stream, "stream.asked", actor, at, hostname=given.hostname, address=given.address, **more)
    return stream


def _to_adopt(stream: EdgeStream, given: StreamInput) -> int | None:
    """Raises InvalidInput when another stream delivers already."""
    if given.stream_id in (None, stream.stream_id):
        return None
    if stream.stream_id is not None:
        words = f"Stream {stream.stream_id} delivers already. Delete that one at Akamai first, or leave this empty."
        raise InvalidInput(fields={"stream_id": [words]})
    return given.stream_id


def _checked(target: Target, given: StreamInput) -> StreamInput:
    name, email, fields = host_and_email(given.hostname, given.email, tells_of="activations")
    address = given.address.strip().rstrip("/")
    vendor = str(target.config.get("base_url", ""))
    if not _may_receive(address, vendor):
        here = _is_loopback(urlsplit(vendor).hostname or "")
        fields["address"] = [_ONLY_HERE if here else _ONLY_HTTPS]
    if fields:
        raise InvalidInput(fields=fields)
    return StreamInput(name, email, address, given.stream_id)


def _may_receive(address: str, vendor: str) -> bool:
    """An edge on this machine may deliver to this machine; Akamai itself comes by HTTPS, to a name."""
    try:
        there, host = urlsplit(address), urlsplit(vendor).hostname or ""
        if not there.hostname or there.path or there.query or there.username or len(address) > 300 or there.port == 0:
            return False
    except ValueError:
        return False
    if _is_loopback(host):
        return there.scheme in ("http", "https") and (_is_loopback(there.hostname) or there.hostname == "localhost")
    return there.scheme == "https" and is_hostname(there.hostname) and not _is_address(there.hostname)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return _is_address(host) and ip_address(host).is_loopback


def stop(*, slug: str, actor: Actor, at: datetime) -> EdgeStream:
    """Have it deliver no more. The property still names it; asking again starts it."""
    with transaction.atomic():
        stream = locked(slug)
        stream.wanted = False
        due_now(stream, at)
        tell(stream, "stream.stopped", actor, at)
    return stream


def renew_secret(*, slug: str, actor: Actor, at: datetime) -> EdgeStream:
    """Make another secret and have Akamai use it; the one before is believed until that is so, and an hour more."""
    with transaction.atomic():
        stream = locked(slug)
        if len(believed(stream)) >= MOST_KEYS:
            raise SecretUnderWay
        make_key(stream, at)
        due_now(stream, at)
        tell(stream, "stream.secret_made", actor, at)
    return stream


def end_older_secret(*, slug: str, actor: Actor, at: datetime) -> EdgeStream:
    """At once. Quiet when only one is believed."""
    with transaction.atomic():
        stream = locked(slug)
        keys = believed(stream)
        if keys and keys[0].active_at is None and len(keys) > 1:
            raise SecretNotReplaced
        if end_keys(keys[1:], at):
            tell(stream, "stream.secret_ended", actor, at)
    return stream


def make_key(stream: EdgeStream, at: datetime) -> StreamKey:
    plain = secrets.token_urlsafe(32)
    return StreamKey.objects.create(
        stream=stream, hash=vault.hash_of(plain), secret_sealed=vault.seal(plain.encode()), made_at=at
    )


def believed(stream: EdgeStream) -> list[StreamKey]:
    """Newest first."""
    return list(StreamKey.objects.filter(stream=stream, ended_at=None).order_by("-pk"))


def end_keys(keys: Sequence[StreamKey], at: datetime) -> int:
    """What is ended is erased too."""
    wanted = StreamKey.objects.filter(pk__in=[key.pk for key in keys], ended_at=None)
    return wanted.update(ended_at=at, secret_sealed=b"")


def locked(slug: str) -> EdgeStream:
    rows = EdgeStream.objects.select_for_update(of=("self",)).select_related("target")
    stream = rows.filter(target__slug=slug).first()
    if stream is None:
        raise NoStream
    return stream


def due_now(stream: EdgeStream, at: datetime) -> None:
    stream.retry_at, stream.attempts, stream.error = at, 0, ""
    stream.save()


def tell(stream: EdgeStream, verb: str, actor: Actor, at: datetime, **more: object) -> None:
    record_target(verb, stream.target, actor=actor, at=at, after=more or None)
    payload = {"target": stream.target.slug, "wanted": stream.wanted}
    outbox.enqueue(topic=CHANGED, key=stream.target.slug, payload=payload, at=at)
    tell_pages()


# -- receiving ----------------------------------------------------------------------------------------------------
def authenticate(*, slug: str, user: str, password: str, at: datetime) -> StreamRight | None:
    """Whose delivery it is. Every believed secret is compared, and always for as long: no answer tells which fitted."""
    rows = StreamKey.objects.filter(stream__target__slug=slug, ended_at=None).select_related("stream")
    keys, given = list(rows[: MOST_KEYS + 1]), vault.hash_of(password)
    fitting = [key for key in keys if hmac.compare_digest(key.hash, given)]
    hmac.compare_digest(_NO_HASH, given)
    if not fitting or user != slug:
        return None
    key = fitting[0]
    if key.used_at is None or key.used_at <= at - USE_NOTED_EVERY:
        StreamKey.objects.filter(pk=key.pk).update(used_at=at)
    return StreamRight(key.stream_id, slug)


# -- reading ------------------------------------------------------------------------------------------------------
def get_stream(target: Target) -> EdgeStream | None:
    return EdgeStream.objects.filter(target=target).select_related("target__environment").first()


def endpoint_of(stream: EdgeStream) -> str:
    return f"{stream.address}{RECEIVER}{stream.target.slug}"


@dataclass(frozen=True, slots=True)
class Delivering:
    """A stream that should bring lines now, since when, and the hosts' environment."""

    stream: int
    target: str
    environment: str
    since: datetime


def delivering() -> tuple[Delivering, ...]:
    rows = EdgeStream.objects.filter(wanted=True, status=ACTIVATED).select_related("target__environment").order_by("pk")
    return tuple(one for row in rows if (one := delivering_of(row)) is not None)


def hosts_elsewhere(stream_id: int) -> frozenset[str]:
    """Hosts that our rule is live for in another property than the stream serves: of their calls it brings nothing."""
    stream = EdgeStream.objects.select_related("target").get(pk=stream_id)
    served = {f"prp_{number}" for number in stream.found.get("properties", ())}
    return frozenset(one.hostname for one in attaching.attached(stream.target) if one.found.get("id") not in served)


def delivering_of(stream: EdgeStream) -> Delivering | None:
    """None while it should bring nothing."""
    if not stream.wanted or stream.status != ACTIVATED or stream.active_since is None:
        return None
    target = stream.target
    return Delivering(stream.pk, target.name, target.environment.slug, stream.active_since)
