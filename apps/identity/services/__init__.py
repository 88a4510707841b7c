"""Changing who there is. Each use case locks, checks, writes, records and enqueues in one transaction."""

from __future__ import annotations

from apps.identity.services.api_tokens import (
    IssuedToken,
    authenticate_api_token,
    issue_api_token,
    revoke_api_token,
)
from apps.identity.services.logins import (
    LoginTaken,
    UnknownLogin,
    create_operator,
    ensure_user,
    link_login,
    note_sign_in,
    person_for_login,
)
from apps.identity.services.memberships import set_memberships
from apps.identity.services.provider_secrets import (
    IssuedSecret,
    authenticate_provider,
    issue_provider_secret,
    revoke_provider_secret,
)
from apps.identity.services.roles import assign_role, withdraw_role
from apps.identity.services.subjects import reinstate_subject, suspend_subject, upsert_subject

__all__ = [
    "IssuedSecret",
    "IssuedToken",
    "LoginTaken",
    "UnknownLogin",
    "assign_role",
    "authenticate_api_token",
    "authenticate_provider",
    "create_operator",
    "ensure_user",
    "issue_api_token",
    "issue_provider_secret",
    "link_login",
    "note_sign_in",
    "person_for_login",
    "reinstate_subject",
    "revoke_api_token",
    "revoke_provider_secret",
    "set_memberships",
    "suspend_subject",
    "upsert_subject",
    "withdraw_role",
]
