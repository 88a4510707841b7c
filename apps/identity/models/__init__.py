"""The rows of identity: who there is, whose word we take about them, and how they prove it."""

from __future__ import annotations

from apps.identity.models.proofs import (
    AgentLimits,
    AwsPrincipal,
    IssuerKind,
    ProofKind,
    ProofSeen,
    Tally,
    TrustedIssuer,
    WorkloadIdentity,
)
from apps.identity.models.providers import Channel, ClientAuth, Preset, Provider, ProviderSecret, SpentToken
from apps.identity.models.sessions import ApiToken, Login, Scope, SignIn, User
from apps.identity.models.signals import (
    ReceivedSignal,
    SignalAction,
    SignalChannel,
    SignalOutcome,
    SignalSource,
)
from apps.identity.models.subjects import (
    ConsoleRole,
    Kind,
    Membership,
    MembershipRole,
    Role,
    Subject,
    SubjectState,
)

__all__ = [
    "AgentLimits",
    "ApiToken",
    "AwsPrincipal",
    "Channel",
    "ClientAuth",
    "ConsoleRole",
    "IssuerKind",
    "Kind",
    "Login",
    "Membership",
    "MembershipRole",
    "Preset",
    "ProofKind",
    "ProofSeen",
    "Provider",
    "ProviderSecret",
    "ReceivedSignal",
    "Role",
    "Scope",
    "SignIn",
    "SignalAction",
    "SignalChannel",
    "SignalOutcome",
    "SignalSource",
    "SpentToken",
    "Subject",
    "SubjectState",
    "Tally",
    "TrustedIssuer",
    "User",
    "WorkloadIdentity",
]
