"""Setting a provider up: what the test names in words, what a trial shows, and what stays secret."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.test import Client

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity import services
from apps.identity.errors import InvalidProvider, NotAnAdministrator, ProviderNotReady
from apps.identity.models import Login, Preset, Provider, Subject
from apps.identity.providers import outgoing
from apps.identity.providers.discovery import examine
from apps.identity.providers.presets import GUIDES
from apps.identity.vault import unseal
from tests.factories.identity import AT, person
from tests.factories.pages import signed_in as by_force
from tests.identity.providers import provider as fake
from tests.identity.providers.provider import begin, ec_key, facts, running_provider, set_up

pytestmark = pytest.mark.django_db


@pytest.fixture
def there() -> Iterator[fake.Provider]:
    with running_provider() as started:
        yield started


@pytest.fixture
def admin() -> Client:
    return by_force(person("olga", roles=("administrator",)))


def unsaved(issuer: str, **changes: Any) -> Provider:
    values = facts(issuer, **changes).values()
    return Provider(slug="okta", client_secret_sealed=b"sealed", **values)


def words(report_of: Provider, *, at: datetime | None = None) -> str:
    return " ".join(problem.words for problem in examine(report_of, at=at or datetime.now(UTC)).problems)


class TestTest:
    """The Test button."""

    def test_an_honest_provider_has_nothing_wrong(self, there: fake.Provider) -> None:
        report = examine(unsaved(there.issuer), at=datetime.now(UTC))
        assert (report.problems, report.is_usable) == ((), True)
        assert report.endpoints["end_session_endpoint"] == f"{there.issuer}/end"

    @pytest.mark.parametrize(
        ("metadata", "said", "usable"),
        [
            ({"issuer": "https://elsewhere.test"}, "It calls itself 'https://elsewhere.test'", False),
            ({"token_endpoint": None}, "It names no token_endpoint.", False),
            ({"jwks_uri": None}, "It names no jwks_uri.", False),
            ({"authorization_endpoint": "http://id.test/a"}, "authorization_endpoint does not begin with https", False),
            ({"token_endpoint": 7}, "token_endpoint is not an address", False),
            ({"token_endpoint": "https://169.254.169.254/"}, "leads to the machine itself or to its neigh", False),
            ({"code_challenge_methods_supported": ["plain"]}, "does not know PKCE with S256, only plain", False),
            ({"code_challenge_methods_supported": None}, "does not say whether it knows PKCE", True),
            ({"id_token_signing_alg_values_supported": ["HS256"]}, "It signs with HS256, and you accept RS256", False),
            ({"response_types_supported": ["id_token"]}, "does not offer the authorization code flow", False),
            ({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}, "wants the client secret by", False),
            ({"scopes_supported": ["openid"]}, "does not list the scope email, profile", True),
            ({"end_session_endpoint": None}, "It has no sign-out address", True),
        ],
    )
    def test_names_what_is_wrong(self, there: fake.Provider, metadata: dict[str, Any], said: str, usable: bool) -> None:
        there.metadata = metadata
        report = examine(unsaved(there.issuer), at=datetime.now(UTC))
        assert said in " ".join(problem.words for problem in report.problems)
        assert report.is_usable is usable

    def test_names_keys_that_are_not_there(self, there: fake.Provider) -> None:
        there.broken = {"/keys"}
        assert "Its keys cannot be read" in words(unsaved(there.issuer))
        there.broken, there.published = set(), [ec_key()]
        assert "None of its keys (EC) fits RS256" in words(unsaved(there.issuer))

    def test_names_a_clock_that_is_off(self, there: fake.Provider) -> None:
        late = datetime.now(UTC) + timedelta(seconds=45)
        assert "seconds apart" in words(unsaved(there.issuer), at=late)
        assert words(unsaved(there.issuer), at=datetime.now(UTC) + timedelta(seconds=20)) == ""

    def test_names_a_provider_that_does_not_answer(self, there: fake.Provider) -> None:
        there.broken = {"/.well-known/openid-configuration"}
        assert "the issuer answers with 503" in words(unsaved(there.issuer))

    @pytest.mark.parametrize("tenant", ["common", "organizations", "consumers", "Common"])
    def test_refuses_everybodys_tenant(self, tenant: str) -> None:
        issuer = f"https://login.microsoftonline.com/{tenant}/v2.0"
        assert "every Microsoft directory" in services.providers.faults_of(facts(issuer))["issuer"][0]

    def test_an_http_issuer_is_refused_outside_a_demo(self, there: fake.Provider, settings: LazySettings) -> None:
        settings.SALLYPORT_DEMO = False
        assert words(unsaved(there.issuer)) == "The issuer does not begin with https://."

    def test_what_is_not_set_is_named(self, there: fake.Provider) -> None:
        row = unsaved(there.issuer, scopes="profile")
        row.client_secret_sealed = b""
        assert words(row).startswith("No client secret is set. The scope openid is not asked for")


class TestOutgoing:
    """How far a call to a typed-in address goes."""

    @pytest.mark.parametrize(
        "url",
        [
            "ftp://id.test",
            "file:///etc/passwd",
            "https://",
            "https://user:pw@id.test",
            "https://id.test/#x",
            "https://169.254.169.254/latest",
            "https://[fe80::1]/",
            "https://0.0.0.0/",
            "http://id.test",
            "http://10.0.0.1",
            "http://localhost.evil.test",
            "https://id.test:x/",
            "https://id test/",
            "//id.test",
            "",
        ],
    )
    def test_not_to_these(self, url: str) -> None:
        assert outgoing.fault_of(url) != ""

    def test_not_to_itself_outside_a_demo(self, settings: LazySettings) -> None:
        settings.SALLYPORT_DEMO = False
        for url in ("http://127.0.0.1:8000", "https://127.0.0.1", "https://localhost/x", "https://[::1]"):
            assert outgoing.fault_of(url) != ""
        assert outgoing.fault_of("https://id.test/x") == ""

    def test_not_further_than_the_first_answer(self, there: fake.Provider) -> None:
        there.redirect = f"{there.issuer}/keys"
        assert outgoing.get(f"{there.issuer}/go").status == 302
        assert there.count("/keys") == 0

    def test_not_more_than_it_should(self, there: fake.Provider) -> None:
        there.metadata = {"x": "y" * 300_000}
        with pytest.raises(outgoing.Unreachable, match="more than 256 KiB"):
            outgoing.get(f"{there.issuer}/.well-known/openid-configuration")


class TestPages:
    def test_the_whole_set_up(self, admin: Client, there: fake.Provider) -> None:
        assert b"Okta, custom authorization server" in admin.get("/settings/providers/new/").content
        page = admin.get("/settings/providers/new/?preset=okta_custom").content.decode()
        assert "http://127.0.0.1:8000/oidc/okta/callback/" in page
        assert "Create App Integration" in page
        form = {
            "preset": "okta_custom",
            "name": "Acme Okta",
            "slug": "okta",
            "issuer": there.issuer,
            "client_id": fake.CLIENT_ID,
            "client_secret": "very secret",
            "scopes": "openid profile email",
            "groups_claim": "groups",
            "subject_claim": "sub",
            "algorithms": ["RS256"],
            "client_auth": "client_secret_basic",
            "creates_people": "on",
        }
        added = admin.post("/settings/providers/new/", form)
        assert added["Location"] == "/settings/providers/okta/"
        row = Provider.objects.get()
        assert (row.enabled, row.discovered_at, unseal(row.client_secret_sealed)) == (False, None, b"very secret")
        assert b"The test passed" in admin.post("/settings/providers/okta/test/").content
        admin.post("/settings/providers/okta/switch", {"to": "on"})
        row.refresh_from_db()
        assert (row.enabled, row.endpoints["token_endpoint"]) == (True, f"{there.issuer}/token")

    def test_the_secret_is_never_shown_nor_recorded(self, admin: Client, there: fake.Provider) -> None:
        set_up(there)
        for path in ("", "okta/", "okta/edit/"):
            assert fake.CLIENT_SECRET.encode() not in admin.get(f"/settings/providers/{path}").content
        assert b"is set" in admin.get("/settings/providers/okta/").content
        for event in Event.objects.filter(target_type="identity.provider"):
            assert fake.CLIENT_SECRET not in f"{event.before}{event.after}"

    def test_a_change_without_a_secret_keeps_it_and_one_with_it_replaces_it(
        self, admin: Client, there: fake.Provider
    ) -> None:
        set_up(there)
        form = {
            "name": "New name",
            "issuer": there.issuer,
            "client_id": fake.CLIENT_ID,
            "scopes": "openid",
            "groups_claim": '["realm_access", "roles"]',
            "allowed_domains": "Shop.test, b.test",
            "subject_claim": "sub",
            "algorithms": ["RS256", "ES256"],
            "client_auth": "client_secret_post",
        }
        assert admin.post("/settings/providers/okta/edit/", form).status_code == 302
        row = Provider.objects.get()
        assert (row.name, row.groups_claim, row.allowed_domains) == (
            "New name",
            ["realm_access", "roles"],
            ["b.test", "shop.test"],
        )
        assert (row.creates_people, row.enabled) == (False, True)
        assert unseal(row.client_secret_sealed) == fake.CLIENT_SECRET.encode()
        admin.post("/settings/providers/okta/edit/", form | {"client_secret": "another"})
        row.refresh_from_db()
        assert unseal(row.client_secret_sealed) == b"another"

    def test_another_issuer_has_to_be_tested_again(self, there: fake.Provider) -> None:
        set_up(there)
        services.change_provider(slug="okta", facts=facts("https://new.test"), actor=SYSTEM, at=AT)
        row = Provider.objects.get()
        assert (row.enabled, row.endpoints, row.discovered_at) == (False, {}, None)
        with pytest.raises(ProviderNotReady):
            services.switch_provider(slug="okta", enabled=True, actor=SYSTEM, at=AT)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"issuer": "http://id.test"}, "issuer"),
            ({"algorithms": ["none"]}, "algorithms"),
            ({"algorithms": ["HS256"]}, "algorithms"),
            ({"algorithms": []}, "algorithms"),
            ({"algorithms": ["RS256", "none"]}, "algorithms"),
            ({"scopes": "profile"}, "scopes"),
            ({"tenant_claim": "tid"}, "tenant"),
            ({"tenant": "t"}, "tenant"),
            ({"allowed_domains": ["not a domain"]}, "allowed_domains"),
            ({"subject_claim": ""}, "subject_claim"),
            ({"client_id": "a\nb"}, "client_id"),
            ({"name": " "}, "name"),
            ({"preset": "other-than-all"}, "preset"),
        ],
    )
    def test_what_cannot_be_right_is_refused(self, changes: dict[str, Any], field: str) -> None:
        with pytest.raises(InvalidProvider) as refused:
            services.add_provider(
                slug="okta",
                facts=facts(**({"issuer": "https://id.test"} | changes)),
                client_secret="x",
                actor=SYSTEM,
                at=AT,
            )
        assert list(refused.value.fields) == [field]

    def test_a_short_name_and_an_issuer_with_a_client_are_taken_once(self) -> None:
        common: dict[str, Any] = {"facts": facts("https://id.test"), "client_secret": "x", "actor": SYSTEM, "at": AT}
        services.add_provider(slug="okta", **common)
        for slug in ("okta", "another", "New", "new", "a_b", ""):
            with pytest.raises(InvalidProvider):
                services.add_provider(slug=slug, **common)

    def test_only_administrators_set_up(self) -> None:
        ada = person("ada", roles=("operator", "security"))
        with pytest.raises(NotAnAdministrator):
            services.add_provider(
                slug="okta", facts=facts("https://id.test"), client_secret="x", actor=ada.actor, at=AT
            )

    @pytest.mark.parametrize("preset", [one.value for one in GUIDES])
    def test_every_preset_says_what_to_click_and_fills_the_form(self, admin: Client, preset: str) -> None:
        page = admin.get(f"/settings/providers/new/?preset={preset}").content.decode()
        assert page.count("<li>") >= len(GUIDES[Preset(preset)].steps)
        assert "/callback/" in page


class TestTrial:
    def walk(self, admin: Client, there: fake.Provider, **claims: Any) -> Any:
        sent = begin(admin, there, purpose="trial")
        there.claims = claims
        return admin.get("/oidc/okta/callback/", {"code": "c", "state": sent["state"][0]})

    def test_it_shows_what_arrives_and_signs_nobody_in(self, admin: Client, there: fake.Provider) -> None:
        set_up(there)
        services.switch_provider(slug="okta", enabled=False, actor=SYSTEM, at=AT)
        before = admin.session.session_key
        page = self.walk(admin, there, groups=["sallyport-pay", "sallyport-ops"], auth_time=1_772_000_000)
        text = page.content.decode()
        assert page.status_code == 200
        for shown in ("sallyport-pay", "sallyport-ops", "2 groups", "00u1", "ada@shop.test", "make a new person"):
            assert shown in text
        assert "no-store" in page["Cache-Control"]
        assert (Login.objects.count(), Subject.objects.count()) == (0, 1)
        assert admin.session.session_key == before

    def test_it_says_that_there_are_too_many_groups_or_none(self, admin: Client, there: fake.Provider) -> None:
        set_up(there)
        many = {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph.test"}}}
        assert "more than a token can hold" in self.walk(admin, there, **many).content.decode()
        assert "There is no claim groups" in self.walk(admin, there).content.decode()

    def test_it_says_exactly_what_is_wrong(self, admin: Client, there: fake.Provider) -> None:
        set_up(there)
        answer = self.walk(admin, there, aud="another")
        assert answer.status_code == 403
        assert "meant for &#x27;another&#x27;" in answer.content.decode()

    def test_it_is_for_administrators(self, there: fake.Provider) -> None:
        set_up(there)
        for client in (Client(), by_force(person("ada"))):
            assert client.get("/oidc/okta/authenticate/?purpose=trial").status_code == 403


class TestCommand:
    def run(self, there: fake.Provider, *more: str) -> str:
        out = io.StringIO()
        call_command(
            "add_provider", "okta", "--preset", "okta_custom", "--name", "Acme", "--issuer", there.issuer,
            "--client-id", fake.CLIENT_ID, *more, stdout=out, stderr=out,
        )  # fmt: skip
        return out.getvalue()

    def test_the_secret_comes_from_a_file_or_the_standard_input(
        self, there: fake.Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "secret").write_text("from a file\n")
        said = self.run(there, "--client-secret-file", str(tmp_path / "secret"))
        assert "callback: http://127.0.0.1:8000/oidc/okta/callback/" in said
        assert "from a file" not in said
        row = Provider.objects.get()
        assert (row.enabled, unseal(row.client_secret_sealed)) == (True, b"from a file")
        row.delete()
        monkeypatch.setattr(sys, "stdin", io.StringIO("typed\n"))
        self.run(there, "--refuse-newcomers", "--groups-claim", "a", "b")
        row = Provider.objects.get()
        assert (unseal(row.client_secret_sealed), row.creates_people, row.groups_claim) == (b"typed", False, ["a", "b"])

    def test_what_nobody_signs_in_at_is_no_preset(self) -> None:
        with pytest.raises(CommandError, match="invalid choice: 'aws_center'"):
            call_command("add_provider", "aws", "--preset", "aws_center", "--client-id", "x")

    def test_what_stops_a_sign_in_leaves_it_switched_off(
        self, there: fake.Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        there.metadata = {"issuer": "https://elsewhere.test"}
        monkeypatch.setattr(sys, "stdin", io.StringIO("typed\n"))
        with pytest.raises(CommandError, match="switched off"):
            self.run(there)
        assert not Provider.objects.get().enabled
