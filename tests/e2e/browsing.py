"""Signing in and looking around in a real browser."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Browser, BrowserContext, Page

from tests.running import Running


@dataclass(frozen=True)
class Look:
    """How a page is looked at."""

    name: str
    width: int
    scheme: str
    javascript: bool = True


LOOKS = [
    Look("wide-light", 1440, "light"),
    Look("wide-dark", 1440, "dark"),
    Look("narrow-light", 390, "light"),
    Look("narrow-dark", 390, "dark"),
]

# name -> (who looks, address); "{request}", "{rid}" and "{revision}" are filled in from the running story
PAGES: dict[str, tuple[str | None, str]] = {
    "sign-in": (None, "/sign-in/"),
    "home": ("ada", "/"),
    "home-approver": ("ben", "/"),
    "catalogue": ("ada", "/catalogue/"),
    "service": ("ada", "/catalogue/payments/"),
    "import": ("olga", "/catalogue/import/"),
    "request-new": ("ada", "/requests/new?service=payments&method=POST&path=/refunds"),
    "requests": ("ben", "/requests/"),
    "request": ("ben", "/requests/{request}/"),
    "request-all": ("ada", "/requests/?show=all"),
    "request-change": ("ben", "/requests/{request}/change/"),
    "choose-service": ("ada", "/requests/new"),
    "around": ("ada", "/catalogue/payments/around/"),
    "search": ("ada", "/search?q=pay"),
    "access": ("ada", "/access/"),
    "live": ("ada", "/live/"),
    "call": ("ada", "/live/{rid}/"),
    "rollout": ("olga", "/rollout/"),
    "target-edge": ("olga", "/rollout/edge/"),
    "target-mesh": ("olga", "/rollout/mesh/"),
    "target-connect": ("olga", "/rollout/edge/connect"),
    "target-preflight": ("olga", "/rollout/edge/preflight/"),
    "target-property": ("olga", "/rollout/edge/property/"),
    "revision": ("olga", "/rollout/edge/revisions/{revision}/"),
    "audit": ("cyd", "/audit/"),
    "audit-event": ("cyd", "/audit/1/"),
    "settings": ("ada", "/settings/"),
    "people": ("ada", "/settings/people/"),
    "person": ("cyd", "/settings/who/person:ada/"),
    "teams": ("ada", "/settings/teams/"),
    "workloads": ("ada", "/settings/workloads/"),
    "agents": ("ada", "/settings/agents/"),
    "signals": ("cyd", "/settings/signals/"),
    "tokens": ("ada", "/settings/tokens/"),
    "own": ("ada", "/settings/who/person:ada/"),
    "providers": ("olga", "/settings/providers/"),
    "provider-presets": ("olga", "/settings/providers/new/"),
    "provider-add": ("olga", "/settings/providers/new/?preset=okta_custom"),
    "directories": ("olga", "/settings/directory/"),
    "rules": ("ada", "/settings/rules/"),
    "guardrails": ("ada", "/settings/guardrails/"),
    "outbox": ("olga", "/settings/outbox/"),
    "gallery": ("olga", "/settings/gallery/"),
    "reasons": ("ada", "/docs/reasons"),
}


def context_for(browser: Browser, demo: Running, who: str | None, look: Look) -> BrowserContext:
    """A fresh browser profile, signed in as ``who`` through the demo's one-click sign-in."""
    context = browser.new_context(
        viewport={"width": look.width, "height": 900},
        color_scheme="dark" if look.scheme == "dark" else "light",
        java_script_enabled=look.javascript,
        base_url=demo.state["console"],
        reduced_motion="reduce",
    )
    context.set_default_timeout(10_000)
    if who is not None:
        sign_in(context, demo, who)
    return context


def sign_in(context: BrowserContext, demo: Running, who: str) -> None:
    console = demo.state["console"]
    context.request.get(f"{console}/sign-in/")
    token = next(cookie["value"] for cookie in context.cookies() if cookie["name"] == "csrftoken")
    key = demo.state["people"][who]
    answer = context.request.post(
        f"{console}/demo/sign-in/{key}", form={"csrfmiddlewaretoken": token}, headers={"Referer": console + "/"}
    )
    assert answer.ok, answer.text()


def settle(page: Page) -> None:
    page.wait_for_load_state("load")
    page.wait_for_timeout(250)
