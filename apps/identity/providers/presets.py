"""What to suggest for each directory, and what to click there. Nothing is believed because of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from apps.identity.models import ClientAuth, Preset

PLAIN_SCOPES = "openid profile email"


@dataclass(frozen=True, slots=True)
class Guide:
    """``steps`` may name {callback}, {signed_out}, {backchannel}, {keys}. ``beware`` is what surprises people there.

    ``asks_again`` is set where nothing else tells us at once that somebody left and the steps allow it.
    """

    issuer_hint: str
    steps: tuple[str, ...]
    issuer: str = ""
    scopes: str = PLAIN_SCOPES
    groups_claim: tuple[str, ...] = ("groups",)
    algorithms: tuple[str, ...] = ("RS256",)
    subject_claim: str = "sub"
    tenant_claim: str = ""
    client_auth: ClientAuth = ClientAuth.BASIC
    step_up_acr: str = ""
    asks_again: bool = False
    beware: tuple[str, ...] = field(default=())


_OKTA_APP = (
    "Applications, Applications, Create App Integration: OIDC - OpenID Connect, then Web Application.",
    "Grant type: Authorization Code and Refresh Token, rotated after every use. Without Refresh Token, do not ask "
    "again here. Tick Require PKCE as additional verification.",
    "Sign-in redirect URIs: {callback}",
    "Sign-out redirect URIs: {signed_out}",
    "Assignments: the groups whose people may sign in. Save, and copy the client ID and secret to here. Without a "
    "secret: Client authentication, Public key / Private key, Use a URL to fetch keys dynamically: {keys}",
)

GUIDES: dict[Preset, Guide] = {
    Preset.OKTA_ORG: Guide(
        issuer_hint="https://example.okta.com",
        scopes="openid profile email groups",
        asks_again=True,
        steps=(
            *_OKTA_APP,
            "On the application's Sign On tab, under OpenID Connect ID Token, edit Group claims: filter, name groups, "
            "Starts with, sallyport-",
        ),
        beware=(
            "Okta refuses a sign-in whose filter matches more than 100 groups: keep the filter narrow.",
            "The issuer is the domain alone, without /oauth2 and without a slash at its end.",
        ),
    ),
    Preset.OKTA_CUSTOM: Guide(
        issuer_hint="https://example.okta.com/oauth2/default",
        asks_again=True,
        steps=(
            *_OKTA_APP,
            "Security, API, Authorization Servers: open yours (default is one) and copy its Issuer URI to here.",
            "Its Claims tab, Add Claim: name groups, include in ID Token Always, value type Groups, "
            "filter Starts with sallyport-, include in any scope.",
            "Its Access Policies tab: a rule must allow this application the grant type Authorization Code and the "
            "scope offline_access.",
        ),
        beware=(
            "Okta refuses a sign-in whose filter matches more than 100 groups: keep the filter narrow.",
            "The two kinds of Okta issuer differ only by their path; this one has /oauth2/ in it.",
        ),
    ),
    Preset.ENTRA: Guide(
        issuer_hint="https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0",
        subject_claim="oid",
        tenant_claim="tid",
        asks_again=True,
        client_auth=ClientAuth.POST,
        steps=(
            "Microsoft Entra admin center, App registrations, New registration. "
            "Supported account types: this organizational directory only.",
            "Redirect URI, platform Web: {callback}",
            "Overview: copy the Application (client) ID and the Directory (tenant) ID to here. The issuer is "
            "https://login.microsoftonline.com/TENANT ID/v2.0",
            "Certificates & secrets, New client secret: copy its Value (not its Secret ID) to here.",
            "Token configuration, Add groups claim: Groups assigned to the application, Group ID.",
            "Enterprise applications, this application, Properties: Assignment required, Yes. Then Users and groups: "
            "assign who may sign in.",
        ),
        beware=(
            "Groups arrive as object ids, not as names.",
            "Somebody in more than 200 groups arrives without any; Groups assigned to the application avoids that.",
            "The tenants common, organizations and consumers are refused: with them anybody's directory could sign in.",
            "Entra takes a key only as a certificate, which this console does not make: use a client secret, and note "
            "when it ends.",
            "Entra says nothing about who owns an e-mail address, so allowed domains refuse everybody: "
            "the tenant is the limit.",
        ),
    ),
    Preset.GOOGLE: Guide(
        issuer_hint="https://accounts.google.com",
        issuer="https://accounts.google.com",
        groups_claim=(),
        tenant_claim="hd",
        steps=(
            "Google Cloud console, APIs & Services, OAuth consent screen: audience Internal.",
            "Credentials, Create credentials, OAuth client ID: Web application.",
            "Authorized redirect URIs: {callback}",
            "Copy the client ID and secret to here, and your Workspace domain to the pinned tenant.",
        ),
        beware=(
            "Google's tokens hold no groups: use SCIM or give teams here.",
            "Google has no sign-out for applications: who signs out here stays signed in at Google.",
            "Google may not say when somebody last signed in; then they cannot approve for sensitive services.",
            "Google is not asked again while somebody is signed in, and has no other way to tell us: use SCIM.",
        ),
    ),
    Preset.KEYCLOAK: Guide(
        issuer_hint="https://keycloak.example.com/realms/shop",
        steps=(
            "In your realm: Clients, Create client, type OpenID Connect. Client authentication On, Standard flow only.",
            "Valid redirect URIs: {callback}",
            "Valid post logout redirect URIs: {signed_out}",
            "Advanced, Proof Key for Code Exchange: S256. Settings, Backchannel logout URL: {backchannel}",
            "Credentials: copy the client secret to here. Without a secret: Client Authenticator, Signed Jwt, "
            "signature algorithm RS256; Keys, Use JWKS URL: {keys}",
            "Client scopes, the one that ends in -dedicated, Add mapper, Group Membership: token claim name groups, "
            "Add to ID token On, Full group path as you like.",
        ),
        beware=("With Full group path on, groups begin with a slash: /team/payments.",),
    ),
    Preset.AUTH0: Guide(
        issuer_hint="https://example.eu.auth0.com/",
        groups_claim=("https://sallyport.example.com/groups",),
        client_auth=ClientAuth.POST,
        steps=(
            "Applications, Create Application: Regular Web Application.",
            "Settings: copy Domain (the issuer is https://DOMAIN/ with the slash), Client ID and Client Secret here.",
            "Without a secret: Credentials, Private Key JWT, algorithm RS256, with the public key as PEM "
            "that this page shows once the provider is added.",
            "Allowed Callback URLs: {callback}",
            "Allowed Logout URLs: {signed_out}",
            "Advanced Settings, OAuth: signature algorithm RS256, OIDC Conformant on. "
            "Back-Channel Logout URI: {backchannel}",
            "Actions, Triggers, post-login: an action that sets a claim named like an address, for example "
            "api.idToken.setCustomClaim('https://sallyport.example.com/groups', event.authorization.roles)",
        ),
        beware=(
            "The issuer ends with a slash: without it nothing matches.",
            "Auth0 drops a claim that is plainly named groups; name it like an address.",
        ),
    ),
    Preset.OTHER: Guide(
        issuer_hint="https://id.example.com",
        steps=(
            "Make a confidential web client for the authorization code flow with PKCE (S256).",
            "Redirect URI: {callback}",
            "Post-logout redirect URI: {signed_out}",
            "Back-channel logout URI, if it has such a thing: {backchannel}",
            "Without a secret, if it knows private_key_jwt: RS256, and the keys at {keys}",
            "Put the names of the person's groups into a claim of the ID token.",
        ),
    ),
}


def steps_of(preset: str, addresses: dict[str, str]) -> list[str]:
    """The clicks, with this console's own addresses in them."""
    return [step.format(**addresses) for step in GUIDES[Preset(preset)].steps]
