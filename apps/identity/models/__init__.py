"""The rows of identity: who there is, whose word we take about them, and how they prove it."""

from __future__ import annotations

from apps.identity.models.denials import Denial, DenialCause
from apps.identity.models.directory import DirectoryAlert, DirectoryUser, Group, GroupMember, Origin, ScimExchange
from apps.identity.models.identity_center import IdentityCenter
from apps.identity.models.mapping import (
    Cause,
    GroupRule,
    MappedMembership,
    MappedRole,
    MappingLoss,
    Match,
    PendingMapping,
)
from apps.identity.models.proofs import (
    AgentLimits,
    AwsPrincipal,
    AwsSync,
    IssuerKind,
    ProofKind,
    ProofSeen,
    SyncOutcome,
    Tally,
    TrustedIssuer,
    WorkloadIdentity,
)
from apps.identity.models.providers import (
    Channel,
    ClientAuth,
    ClientKey,
    Preset,
    Provider,
    ProviderSecret,
    SpentToken,
)
from apps.identity.models.sessions import ApiToken, Login, RefreshToken, Scope, SignIn, User
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
    "AwsSync",
    "Cause",
    "Channel",
    "ClientAuth",
    "ClientKey",
    "ConsoleRole",
    "Denial",
    "DenialCause",
    "DirectoryAlert",
    "DirectoryUser",
    "Group",
    "GroupMember",
    "GroupRule",
    "IdentityCenter",
    "IssuerKind",
    "Kind",
    "Login",
    "MappedMembership",
    "MappedRole",
    "MappingLoss",
    "Match",
    "Membership",
    "MembershipRole",
    "Origin",
    "PendingMapping",
    "Preset",
    "ProofKind",
    "ProofSeen",
    "Provider",
    "ProviderSecret",
    "ReceivedSignal",
    "RefreshToken",
    "Role",
    "ScimExchange",
    "Scope",
    "SignIn",
    "SignalAction",
    "SignalChannel",
    "SignalOutcome",
    "SignalSource",
    "SpentToken",
    "Subject",
    "SubjectState",
    "SyncOutcome",
    "Tally",
    "TrustedIssuer",
    "User",
    "WorkloadIdentity",
]
