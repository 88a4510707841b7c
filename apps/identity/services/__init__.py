"""Changing who there is. Each use case locks, checks, writes, records and enqueues in one transaction."""

from __future__ import annotations

from apps.identity.services.api_tokens import (
    IssuedToken,
    authenticate_api_token,
    issue_api_token,
    revoke_api_token,
)
from apps.identity.services.client_keys import forget_client_keys, make_client_key, take_client_key_away
from apps.identity.services.identity_centers import CenterFacts, add_identity_center, ask_to_read
from apps.identity.services.leaving import Left, leave, sign_out_and_revoke
from apps.identity.services.logins import (
    LINK_WITHIN,
    LoginTaken,
    UnknownLogin,
    create_operator,
    ensure_user,
    link_login,
    link_own_login,
    person_for_login,
    unlink_login,
)
from apps.identity.services.memberships import set_memberships
from apps.identity.services.parties import register_party
from apps.identity.services.provider_secrets import (
    IssuedSecret,
    authenticate_provider,
    issue_provider_secret,
    revoke_provider_secret,
)
from apps.identity.services.providers import (
    MOST_MINUTES,
    SLUG,
    USUAL_MINUTES,
    ProviderFacts,
    add_provider,
    change_provider,
    note_discovery,
    switch_provider,
)
from apps.identity.services.refresh_tokens import (
    forget_refresh_tokens,
    give_back,
    note_use,
    revoke_released,
)
from apps.identity.services.roles import assign_role, withdraw_role
from apps.identity.services.sessions import (
    end_by_logout_token,
    end_sessions,
    forget_ended,
    note_sign_in,
    note_sign_out,
    sign_out_everywhere,
    spend_token,
)
from apps.identity.services.signal_senders import (
    forget_signal_source,
    issue_hook_secret,
    provider_of_hook,
    set_signal_source,
)
from apps.identity.services.signals import (
    Told,
    act_on_signals,
    answer_at_once,
    forget_old_signals,
    receive,
    refuse,
)
from apps.identity.services.subjects import reinstate_subject, suspend_subject, upsert_subject

__all__ = [
    "LINK_WITHIN",
    "MOST_MINUTES",
    "SLUG",
    "USUAL_MINUTES",
    "CenterFacts",
    "IssuedSecret",
    "IssuedToken",
    "Left",
    "LoginTaken",
    "ProviderFacts",
    "Told",
    "UnknownLogin",
    "act_on_signals",
    "add_identity_center",
    "add_provider",
    "answer_at_once",
    "ask_to_read",
    "assign_role",
    "authenticate_api_token",
    "authenticate_provider",
    "change_provider",
    "create_operator",
    "end_by_logout_token",
    "end_sessions",
    "ensure_user",
    "forget_client_keys",
    "forget_ended",
    "forget_old_signals",
    "forget_refresh_tokens",
    "forget_signal_source",
    "give_back",
    "issue_api_token",
    "issue_hook_secret",
    "issue_provider_secret",
    "leave",
    "link_login",
    "link_own_login",
    "make_client_key",
    "note_discovery",
    "note_sign_in",
    "note_sign_out",
    "note_use",
    "person_for_login",
    "provider_of_hook",
    "receive",
    "refuse",
    "register_party",
    "reinstate_subject",
    "revoke_api_token",
    "revoke_provider_secret",
    "revoke_released",
    "set_memberships",
    "set_signal_source",
    "sign_out_and_revoke",
    "sign_out_everywhere",
    "spend_token",
    "suspend_subject",
    "switch_provider",
    "take_client_key_away",
    "unlink_login",
    "upsert_subject",
    "withdraw_role",
]
