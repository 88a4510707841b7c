"""What providers tell us about people who leave, and what we did about it."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.identity.models.providers import Provider
from apps.identity.models.subjects import Subject


class SignalChannel(models.TextChoices):
    """By which door the word came in."""

    EVENT_HOOK = "event_hook", "Event hook"
    REVOCATION = "revocation", "Universal Logout"
    SHARED = "ssf", "Shared Signals"
    LOGOUT = "logout", "Back-channel logout"
    SCIM = "scim", "SCIM"
    REFRESH = "refresh", "Asked again"


class SignalAction(models.TextChoices):
    """What a signal asks of us. Nothing a signal says ever adds access."""

    LEAVE = "leave", "Suspend, end sessions and tokens"
    SIGN_OUT = "sign_out", "End sessions and tokens"
    END_SESSIONS = "end_sessions", "End sessions"
    NOTE = "note", "Write it down"


class SignalOutcome(models.TextChoices):
    """What came of it."""

    WAITING = "waiting", "Waiting"
    LEFT = "left", "Left: suspended, signed out, tokens revoked"
    SIGNED_OUT = "signed_out", "Signed out, tokens revoked"
    SESSIONS_ENDED = "sessions_ended", "Signed out"
    NOTED = "noted", "Only noted"
    NOBODY = "nobody", "Nobody we know"
    REFUSED = "refused", "Refused: names a person by e-mail"


class ReceivedSignal(models.Model):
    """One word of a provider. ``identifier`` is the provider's own for it, so that the same word twice acts once.

    ``issuer`` and ``sub`` say whom it is about; nobody is looked for by anything else.
    """

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="signals")
    channel = models.CharField(max_length=10, choices=SignalChannel)
    identifier = models.CharField(max_length=255)
    kind = models.CharField("what it is called there", max_length=100)
    action = models.CharField(max_length=12, choices=SignalAction)
    issuer = models.CharField(max_length=300, default="", blank=True)
    sub = models.CharField(max_length=255, default="", blank=True)
    subject = models.ForeignKey(Subject, models.SET_NULL, null=True, related_name="signals")
    happened_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField()
    outcome = models.CharField(max_length=14, choices=SignalOutcome, default=SignalOutcome.WAITING)
    done_at = models.DateTimeField(null=True)
    sessions = models.PositiveIntegerField(default=0)
    tokens = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "channel", "identifier"], name="identity_signal_once"),
            models.CheckConstraint(condition=Q(channel__in=SignalChannel.values), name="identity_signal_channel"),
            models.CheckConstraint(condition=Q(action__in=SignalAction.values), name="identity_signal_action"),
            models.CheckConstraint(condition=Q(outcome__in=SignalOutcome.values), name="identity_signal_outcome"),
            models.CheckConstraint(
                condition=Q(outcome=SignalOutcome.WAITING, done_at=None)
                | (~Q(outcome=SignalOutcome.WAITING) & Q(done_at__isnull=False)),
                name="identity_signal_done_when_done",
            ),
        ]
        indexes = [
            models.Index(fields=["-received_at", "-id"], name="identity_signal_newest"),
            models.Index(fields=["subject", "-received_at"], name="identity_signal_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.identifier}"


class SignalSource(models.Model):
    """The Shared Signals transmitter of a provider: who signs its events, and what it calls us.

    It may sign under another issuer than the provider's ID tokens do.
    """

    provider = models.OneToOneField(Provider, models.CASCADE, related_name="signal_source")
    issuer = models.CharField(max_length=300)
    jwks_uri = models.CharField(max_length=500)
    audience = models.CharField(max_length=300)
    algorithms = ArrayField(models.CharField(max_length=8))
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(algorithms__len__gt=0), name="identity_signalsource_algorithms_given")
        ]

    def __str__(self) -> str:
        return f"signals of {self.provider_id}"
