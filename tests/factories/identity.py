"""Subjects made through the services, so that a test's world is one the console could have made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from apps.audit.actors import SYSTEM
from apps.identity import services
from apps.identity.models import ApiToken, Login, Provider, Subject, User

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
TRUST_DOMAIN = "shop.test"


def person(name: str = "ada", *, roles: tuple[str, ...] = (), teams: tuple[Subject, ...] = ()) -> Subject:
    subject = services.upsert_subject(key=f"person:{name}", name=name.title(), actor=SYSTEM, at=AT)
    for role in roles:
        services.assign_role(subject_key=subject.key, role=role, actor=SYSTEM, at=AT)
    for one in teams:
        join(one, subject)
    return subject


def team(name: str = "storefront", *, owners: tuple[Subject, ...] = (), members: tuple[Subject, ...] = ()) -> Subject:
    subject = services.upsert_subject(key=f"team:{name}", name=name.title(), actor=SYSTEM, at=AT)
    roles = {one.key: "member" for one in members} | {one.key: "owner" for one in owners}
    return services.set_memberships(team_key=subject.key, members=roles, actor=SYSTEM, at=AT)


def join(to: Subject, member: Subject, *, role: str = "member") -> None:
    """Add one member to a team."""
    present = {one.member.key: one.role for one in to.memberships.select_related("member")}
    services.set_memberships(team_key=to.key, members={**present, member.key: role}, actor=SYSTEM, at=AT)


def workload(name: str = "payments", *, team: Subject | None = None, namespace: str = "shop") -> Subject:
    return services.upsert_subject(
        key=f"workload:spiffe://{TRUST_DOMAIN}/ns/{namespace}/sa/{name}",
        name=name,
        team_key=team.key if team else None,
        actor=SYSTEM,
        at=AT,
    )


def agent(name: str = "release-bot", *, owner: Subject | None = None, team: Subject | None = None) -> Subject:
    return services.upsert_subject(
        key=f"agent:{name}",
        name=name,
        owner_key=(owner or person("dan")).key,
        team_key=team.key if team else None,
        actor=SYSTEM,
        at=AT,
    )


def provider(slug: str = "acme", *, issuer: str = "https://id.shop.test", **changes: object) -> Provider:
    """Set up and switched on. Nothing answers at its addresses."""
    facts = {"name": slug.title(), "issuer": issuer, "client_id": "console", **changes}
    services.add_provider(
        slug=slug,
        facts=services.ProviderFacts(**facts),  # type: ignore[arg-type]  # passed on as given
        client_secret="a secret",
        actor=SYSTEM,
        at=AT,
    )
    endpoints = {
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/keys",
    }
    services.note_discovery(slug=slug, endpoints=endpoints, actor=SYSTEM, at=AT)
    return services.switch_provider(slug=slug, enabled=True, actor=SYSTEM, at=AT)


def login(subject: Subject, *, issuer: str = "https://id.shop.test", sub: str = "00u1") -> Login:
    return services.link_login(issuer=issuer, sub=sub, subject_key=subject.key, actor=SYSTEM, at=AT)


def user(subject: Subject) -> User:
    """The user to give to a test client: ``client.force_login(user(ada))``."""
    return services.ensure_user(subject)


def api_token(
    subject: Subject,
    *,
    scopes: tuple[str, ...] = ("read", "write", "edge"),
    at: datetime | None = None,
    days: int = 30,
) -> tuple[ApiToken, str]:
    """The token's row, and the secret itself."""
    at = at or datetime.now(UTC)
    issued = services.issue_api_token(
        subject_key=subject.key,
        name="test",
        scopes=scopes,
        expires_at=at + timedelta(days=days),
        actor=SYSTEM,
        at=at,
    )
    return issued.token, issued.plain


def directory(slug: str = "okta", **more: object) -> Provider:
    """A directory of its own issuer."""
    given = {
        "name": slug.title(),
        "issuer": f"https://{slug}.test",
        "client_id": "console",
        "algorithms": ["RS256"],
        "created_at": AT,
        **more,
    }
    return Provider.objects.create(slug=slug, **given)


def identity_center(slug: str = "aws") -> Provider:
    """An identity store of AWS that is read."""
    facts = services.CenterFacts("Staff", "eu-central-1", "ssoins-0123456789abcdef", "d-1234567890")
    return services.add_identity_center(slug=slug, facts=facts, actor=SYSTEM, at=AT)


def scim_token(to: Provider, *, at: datetime | None = None, days: int = 30) -> str:
    """A bearer token the directory may push with."""
    at = at or datetime.now(UTC)
    issued = services.issue_provider_secret(
        provider_slug=to.slug, channel="scim", expires_at=at + timedelta(days=days), actor=SYSTEM, at=at
    )
    return issued.plain
