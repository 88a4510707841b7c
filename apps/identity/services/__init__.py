"""Changing who there is. Each use case locks, checks, writes, records and enqueues in one transaction."""

from __future__ import annotations

from apps.identity.services.api_tokens import (
    IssuedToken,
    authenticate_api_token,
    issue_api_token,
    revoke_api_token,
)
from apps.identity.services.leaving import Left, leave, sign_out_everywhere
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
from apps.identity.services.roles import assign_role, withdraw_role
from apps.identity.services.sessions import (
    end_sessions,
    forget_ended_sessions,
    forget_session,
    remember_session,
)
from apps.identity.services.signal_senders import (
    IssuedHookSecret,
    forget_signal_source,
    issue_hook_secret,
    provider_of_hook,
    revoke_hook_secret,
    set_signal_source,
)
from apps.identity.services.signals import (
    Told,
    act_on_signal,
    answer_at_once,
    forget_old_signals,
    receive,
    refuse,
)
from apps.identity.services.subjects import reinstate_subject, suspend_subject, upsert_subject

__all__ = [
    "IssuedHookSecret",
    "IssuedToken",
    "Left",
    "LoginTaken",
    "Told",
    "UnknownLogin",
    "act_on_signal",
    "answer_at_once",
    "assign_role",
    "authenticate_api_token",
    "create_operator",
    "end_sessions",
    "ensure_user",
    "forget_ended_sessions",
    "forget_old_signals",
    "forget_session",
    "forget_signal_source",
    "issue_api_token",
    "issue_hook_secret",
    "leave",
    "link_login",
    "note_sign_in",
    "person_for_login",
    "provider_of_hook",
    "receive",
    "refuse",
    "reinstate_subject",
    "remember_session",
    "revoke_api_token",
    "revoke_hook_secret",
    "set_memberships",
    "set_signal_source",
    "sign_out_everywhere",
    "suspend_subject",
    "upsert_subject",
    "withdraw_role",
]
