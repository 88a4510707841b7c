"""A real browser at a real OpenID provider: oidc-provider from npm, like an Okta custom authorization server."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity import services, tasks
from apps.identity.asking import NOT_GOOD
from apps.identity.models import GroupMember, Login, Provider, RefreshToken, SignIn
from apps.identity.providers.keys import keys_at
from apps.identity.services.refresh_tokens import RELEASED
from apps.identity.vault import unseal
from apps.outbox import services as outbox
from apps.outbox.models import Message
from tests.e2e.browsing import assert_no_grave_fault
from tests.factories import access
from tests.factories.identity import AT
from tests.identity.oidc_provider import running
from tests.running import wait_until

SHOTS = os.environ.get("SHOTS")
pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
TENANT = "8f0c2c1e-0000-4000-8000-000000000001"
OVERAGE = {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph.test/groups"}}}


@pytest.fixture(scope="module", autouse=True)
def beside_a_browser() -> None:
    """Playwright keeps an event loop in this thread to the end; the database is asked from it all the same."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return running.install(tmp_path_factory.mktemp("oidc-provider"))


@pytest.fixture
def console(live_server: LiveServer, settings: LazySettings) -> str:
    settings.SALLYPORT_URL = live_server.url
    settings.SALLYPORT_DEMO = True
    keys_at.cache_clear()
    return str(live_server.url)


@pytest.fixture
def page(browser: Browser, console: str) -> Iterator[Page]:
    context = browser.new_context(base_url=console)
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


def add(where: running.Directory, slug: str, *more: str, secret: Path) -> None:
    secret.write_text(running.CLIENT_SECRET)
    call_command(
        "add_provider", slug, "--issuer", where.issuer, "--client-id", running.CLIENT_ID, "--client-secret-file",
        str(secret), *more, stdout=io.StringIO(),
    )  # fmt: skip


def refresh_token() -> bytes:
    return unseal(RefreshToken.objects.get().token_sealed)


def ask_again(page: Page) -> None:
    """Somebody uses the page, ten minutes pass, and beat comes by."""
    page.reload()
    row = SignIn.objects.get()
    past = datetime.now(UTC) - timedelta(seconds=1)
    SignIn.objects.filter(pk=row.pk).update(used_at=past)
    RefreshToken.objects.filter(sign_in=row).update(due_at=past, tried_at=past - timedelta(minutes=10))
    tasks.ask_again()


def log_in(page: Page, name: str) -> None:
    """At the provider: who one is, and that the console may know."""
    page.fill("[name=login]", name)
    page.fill("[name=password]", "whatever")
    page.click("button[type=submit]")
    page.wait_for_load_state()
    if page.get_by_role("button", name="Continue").count():
        page.get_by_role("button", name="Continue").click()


def test_okta_from_the_first_sign_in_to_being_signed_out(page: Page, console: str, folder: Path) -> None:
    groups = {"groups": ["sallyport-payments", "sallyport-security"]}
    shape = {"path": "/oauth2/default", "auth": "private_key_jwt", "claims": groups}
    with running.directory(folder, console=console, slug="okta", **shape) as okta:
        by_key = ("--client-auth", "private_key_jwt", "--preset", "okta_custom", "--name", "Acme Okta")
        add(okta, "okta", *by_key, secret=folder / "secret")
        shop = access.shop()
        services.link_login(issuer=okta.issuer, sub="ben", subject_key=shop.ben.key, actor=SYSTEM, at=AT)
        services.assign_role(subject_key=shop.ben.key, role="administrator", actor=SYSTEM, at=AT)

        # Signing in leads to where one wanted to go.
        page.goto("/access/")
        page.get_by_role("link", name="Sign in with Acme Okta").click()
        log_in(page, "ben")
        page.wait_for_url(f"{console}/access/")
        row = SignIn.objects.get()
        assert (row.subject, row.sub) == (shop.ben, "ben")
        assert row.sid != ""
        assert row.authenticated_at is not None
        assert bytes(Provider.objects.get().client_secret_sealed) == b"", "proved by a key alone"

        # While the session is used, Okta is asked again: each answer brings the next token and the groups of now.
        tokens = [refresh_token()]
        for _ in range(2):
            GroupMember.objects.all().delete()
            ask_again(page)
            tokens.append(refresh_token())
            assert sorted(GroupMember.objects.values_list("group__name", flat=True)) == groups["groups"]
        assert len(set(tokens)) == 3
        page.goto(f"/settings/who/{shop.ben.key}/")
        assert page.get_by_text("asked again").count() == 1
        assert SignIn.objects.get() == row

        # A trial in the same browser shows what arrives, and the session stays what it was.
        page.goto("/settings/providers/okta/")
        page.get_by_role("button", name="Test").click()
        assert page.get_by_text("The test passed").count() == 1
        page.get_by_role("link", name="Trial sign-in").click()
        page.wait_for_url(f"{console}/oidc/okta/callback/**")
        expect(page.locator("main")).to_contain_text("sallyport-payments")
        expect(page.locator("main")).to_contain_text("It would sign in Ben")
        assert SignIn.objects.get() == row

        # What is connected is seen at one glance, and every page of it is accessible.
        for path in ("/settings/providers/okta/", "/settings/providers/okta/edit/", "/settings/signals/"):
            for width, scheme in ((1440, "light"), (390, "dark")):
                page.set_viewport_size({"width": width, "height": 900})
                page.emulate_media(color_scheme=scheme)
                page.goto(path)
                assert_no_grave_fault(page)
                if SHOTS:
                    page.screenshot(path=f"{SHOTS}/{path.strip('/').replace('/', '-')}-{width}.png", full_page=True)
        page.set_viewport_size({"width": 1280, "height": 720})
        assert page.get_by_role("row", name="Asked again").get_by_text("Connected").count() == 1

        # An old sign-in does not approve for a sensitive service; signing in again does.
        asked = access.ask(shop.ada, at=datetime.now(UTC))
        type(asked.service).objects.filter(pk=asked.service.pk).update(sensitivity="sensitive")
        SignIn.objects.update(authenticated_at=datetime.now(UTC) - timedelta(hours=1))
        page.goto(f"/requests/{asked.public_id}/")
        page.get_by_role("link", name="Sign in again to approve").click()
        log_in(page, "ben")
        page.wait_for_url(f"{console}/requests/{asked.public_id}/")
        page.locator("button[value=approve]").click()
        page.wait_for_load_state()
        assert asked.reviews.get().reviewer == shop.ben

        # Signing out here signs out there too.
        page.get_by_role("button", name="Sign out").first.click()
        page.get_by_role("button", name="Yes, sign me out").click()
        page.wait_for_url(f"{console}/sign-in/**")
        assert not SignIn.objects.exists()
        page.get_by_role("link", name="Sign in with Acme Okta").click()
        assert page.locator("[name=password]").count() == 1, "still signed in at the provider"

        # Signing out there ends the session here, told behind the browser's back.
        log_in(page, "ben")
        page.wait_for_url(f"{console}/")
        assert SignIn.objects.count() == 1
        page.goto(f"{okta.issuer}/v1/logout")
        page.get_by_role("button", name="Yes, sign me out").click()
        wait_until(lambda: not SignIn.objects.exists(), seconds=5, what="the logout token")
        page.goto("/access/")
        assert page.url.startswith(f"{console}/sign-in/"), okta.log.read_text()
        assert shop.ben.is_active

        # A token that is used twice was stolen from somebody: Okta takes none any more, and the session ends.
        page.get_by_role("link", name="Sign in with Acme Okta").click()
        log_in(page, "ben")
        page.wait_for_url(f"{console}/access/")
        first = RefreshToken.objects.get(sign_in=SignIn.objects.get()).token_sealed
        ask_again(page)
        RefreshToken.objects.filter(sign_in=SignIn.objects.get()).update(token_sealed=first)
        ask_again(page)
        assert not SignIn.objects.exists()
        page.goto("/access/")
        assert page.url.startswith(f"{console}/sign-in/")
        ended = Event.objects.filter(action="identity.session.ended").latest("seq")
        assert (ended.actor_id, ended.after["why"]) == ("provider:okta", NOT_GOOD.format(name="Acme Okta"))
        assert shop.ben.is_active

        # What the sessions left behind is revoked there, one for each that ended otherwise: the trial's, the one that
        # was signed in again, the one signed out here, and the one signed out there.
        before = okta.log.read_text().count("refresh token destroyed")
        released = Message.objects.filter(topic=RELEASED, state="pending").count()
        assert released == 4
        while outbox.drain(at=datetime.now(UTC), limit=100).handled:
            pass
        assert not RefreshToken.objects.exists()
        assert okta.log.read_text().count("refresh token destroyed") >= before + 2
        assert "server_error" not in okta.log.read_text()


def test_entra_with_more_groups_than_a_token_holds(page: Page, console: str, folder: Path) -> None:
    claims = {"oid": "11111111-2222-4333-8444-555555555555", "tid": TENANT, **OVERAGE}
    shape = {"path": f"/{TENANT}/v2.0", "auth": "client_secret_post", "claims": claims}
    with running.directory(folder, console=console, slug="entra", **shape) as entra:
        add(entra, "entra", "--tenant", TENANT, "--preset", "entra", "--name", "Entra", secret=folder / "secret")
        page.goto("/sign-in/")
        page.get_by_role("link", name="Sign in with Entra").click()
        log_in(page, "ada")
        page.wait_for_url(f"{console}/")
        login = Login.objects.get()
        assert (login.issuer, login.sub, login.subject.key) == (entra.issuer, claims["oid"], "person:ada")
        services.assign_role(subject_key="person:ada", role="administrator", actor=SYSTEM, at=AT)
        page.goto("/oidc/entra/authenticate/?purpose=trial")
        page.wait_for_url(f"{console}/oidc/entra/callback/**")
        expect(page.locator("main")).to_contain_text("There are more than a token can hold")

        # Another tenant's account is nobody here.
        Provider.objects.update(tenant="another")
        page.goto("/oidc/entra/authenticate/")
        page.wait_for_url(f"{console}/oidc/entra/callback/**")
        expect(page.locator("main")).to_contain_text("belongs to another organisation")
