"""The rows of identity: who there is, whose word we take about them, and how they prove it."""

from __future__ import annotations

from apps.identity.models.directory import DirectoryAlert, DirectoryUser, Group, GroupMember, Origin, ScimExchange
from apps.identity.models.mapping import (
    Cause,
    GroupRule,
    MappedMembership,
    MappedRole,
    MappingLoss,
    Match,
    PendingMapping,
)
from apps.identity.models.providers import Channel, ClientAuth, Preset, Provider, ProviderSecret
from apps.identity.models.sessions import ApiToken, Login, Scope, SignIn, User
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
    "ApiToken",
    "Cause",
    "Channel",
    "ClientAuth",
    "ConsoleRole",
    "DirectoryAlert",
    "DirectoryUser",
    "Group",
    "GroupMember",
    "GroupRule",
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
    "Provider",
    "ProviderSecret",
    "Role",
    "ScimExchange",
    "Scope",
    "SignIn",
    "Subject",
    "SubjectState",
    "User",
]
