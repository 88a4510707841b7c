"""By which ways a provider can tell us that somebody left, and whether it does: for one look at what is connected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Q, Value

from apps.identity.models import Channel, Provider, ProviderSecret, ReceivedSignal, RefreshToken, SignalChannel
from apps.identity.models import SignalOutcome as Outcome

ACTED = (Outcome.LEFT, Outcome.SIGNED_OUT, Outcome.SESSIONS_ENDED)
SECRETS = {Channel.SCIM: SignalChannel.SCIM, Channel.EVENT_HOOK: SignalChannel.EVENT_HOOK}


@dataclass(frozen=True, slots=True)
class Way:
    """``is_set_up`` is whether something was done for it here. ``heard_at`` and ``acted`` look back over 90 days."""

    channel: SignalChannel
    is_set_up: bool
    heard_at: datetime | None
    acted: int

    @property
    def label(self) -> str:
        return self.channel.label


@dataclass(frozen=True, slots=True)
class Sender:
    provider: Provider
    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class _Heard:
    at: datetime | None = None
    acted: int = 0


def list_senders(*, at: datetime, most: int) -> list[Sender]:
    """Three queries, however many there are."""
    providers = list(Provider.objects.select_related("signal_source").order_by("name", "slug")[:most])
    heard, (secrets, asked) = _heard(providers), _used(providers, at)
    return [Sender(one, tuple(_ways(one, heard, secrets, asked))) for one in providers]


def _ways(
    provider: Provider,
    heard: dict[tuple[int, str], _Heard],
    secrets: dict[tuple[int, str], datetime | None],
    asked: dict[int, datetime],
) -> list[Way]:
    set_up = {
        SignalChannel.SCIM: (provider.pk, SignalChannel.SCIM) in secrets,
        SignalChannel.EVENT_HOOK: (provider.pk, SignalChannel.EVENT_HOOK) in secrets,
        SignalChannel.SHARED: hasattr(provider, "signal_source"),
        SignalChannel.REVOCATION: False,
        SignalChannel.LOGOUT: False,
        SignalChannel.REFRESH: provider.ask_again_minutes > 0,
    }
    found = []
    for channel, here in set_up.items():
        said = heard.get((provider.pk, channel), _Heard())
        other = asked.get(provider.pk) if channel == SignalChannel.REFRESH else secrets.get((provider.pk, channel))
        moments = [moment for moment in (said.at, other) if moment is not None]
        found.append(Way(channel, here, max(moments, default=None), said.acted))
    return found


def _heard(providers: Sequence[Provider]) -> dict[tuple[int, str], _Heard]:
    rows = ReceivedSignal.objects.filter(provider__in=providers).order_by().values_list("provider", "channel")
    counted = rows.annotate(last=Max("received_at"), acted=Count("pk", filter=Q(outcome__in=ACTED)))
    return {(provider, channel): _Heard(last, acted) for provider, channel, last, acted in counted}


def _used(
    providers: Sequence[Provider], at: datetime
) -> tuple[dict[tuple[int, str], datetime | None], dict[int, datetime]]:
    """Of channels with a secret that is good now, when one was last shown; and when sessions were last asked about."""
    good = ProviderSecret.objects.filter(provider__in=providers, revoked_at=None, expires_at__gt=at).order_by()
    asked = RefreshToken.objects.filter(provider__in=providers).order_by().annotate(channel=Value(""))
    rows = good.values_list("provider", "channel").annotate(last=Max("last_used_at"))
    found = list(rows.union(asked.values_list("provider", "channel").annotate(last=Max("asked_at")), all=True))
    shown = {(provider, SECRETS[Channel(channel)].value): last for provider, channel, last in found if channel}
    return shown, {provider: last for provider, channel, last in found if not channel}
