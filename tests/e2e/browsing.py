"""Signing in and looking around in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Response

from tests.running import Running

GRAVE = {"serious", "critical"}


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

# name -> (who looks, address); what is in braces is filled in from the running story and from what was furnished
PAGES: dict[str, tuple[str | None, str]] = {
    "sign-in": (None, "/sign-in/"),
    "home": ("ada", "/"),
    "home-approver": ("ben", "/"),
    "catalogue": ("ada", "/catalogue/"),
    "service": ("ada", "/catalogue/payments/"),
    "import": ("olga", "/catalogue/import/"),
    "request-new": ("ada", "/requests/new?service=payments&method=POST&path=/refunds"),
    "request-addresses": ("ada", "/requests/new/addresses?service=payments"),
    "guarded-hosts": ("cyd", "/settings/hosts/"),
    "parties": ("ada", "/settings/parties/"),
    "requests": ("ben", "/requests/"),
    "request": ("ben", "/requests/{request}/"),
    "request-all": ("ada", "/requests/?show=all"),
    "request-change": ("ben", "/requests/{request}/change/"),
    "firewall": ("ada", "/firewall/"),
    "firewall-new": ("ada", "/firewall/new"),
    "firewall-request": ("ada", "/firewall/{firewall}/"),
    "firewall-line": ("ada", "/firewall/{firewall}/lines/1/"),
    "firewall-line-unclear": ("ada", "/firewall/{firewall}/lines/2/"),
    "firewall-ways": ("ada", "/firewall/{firewall}/lines/1/ways/"),
    "firewall-copy": ("ada", "/firewall/copy?from=payments"),
    "rule-bases": ("ada", "/firewall/rulebases/"),
    "rule-base": ("ada", "/firewall/rulebases/{base}/"),
    "rule-base-lines": ("ada", "/firewall/rulebases/{base}/lines/"),
    "rule-base-ask": ("ada", "/firewall/rulebases/{base}/ask/?number=2"),
    "rule-base-cleaning": ("cyd", "/firewall/rulebases/cleanings/{cleaning}/"),
    "zones": ("cyd", "/firewall/zones/?source=people&destination=cards"),
    "zone": ("cyd", "/firewall/zones/cards/"),
    "decommission": ("ben", "/firewall/decommission/payments/"),
    "choose-service": ("ada", "/requests/new"),
    "around": ("ada", "/catalogue/payments/around/"),
    "search": ("ada", "/search?q=pay"),
    "traffic-rules": ("ada", "/catalogue/payments/traffic/"),
    "traffic-ask": ("ben", "/requests/traffic?service=payments"),
    "access": ("ada", "/access/"),
    "live": ("ada", "/live/"),
    "call": ("ada", "/live/{rid}/"),
    "rollout": ("olga", "/rollout/"),
    "target-edge": ("olga", "/rollout/edge/"),
    "target-mesh": ("olga", "/rollout/mesh/"),
    "target-connect": ("olga", "/rollout/edge/connect"),
    "target-preflight": ("olga", "/rollout/edge/preflight/"),
    "target-place": ("olga", "/rollout/edge/place"),
    "target-leave": ("olga", "/rollout/edge/leave"),
    "target-releases": ("olga", "/rollout/edge/releases/"),
    "target-property": ("olga", "/rollout/edge/property/"),
    "target-export": ("olga", "/rollout/edge/export/"),
    "target-drift": ("olga", "/rollout/edge/drift/"),
    "target-lists": ("olga", "/rollout/edge/lists/"),
    "target-stream": ("olga", "/rollout/edge/log/"),
    "target-certificate": ("olga", "/rollout/edge/certificate/"),
    "revision": ("olga", "/rollout/edge/revisions/{revision}/"),
    "cluster": ("olga", "/rollout/cluster/"),
    "cluster-plan": ("olga", "/rollout/cluster/plan/"),
    "cluster-preflight": ("olga", "/rollout/cluster/preflight/"),
    "cluster-settings": ("olga", "/rollout/cluster/settings"),
    "cluster-migration": ("olga", "/rollout/cluster/migration/"),
    "cluster-connect": ("olga", "/rollout/cluster/connect"),
    "cluster-drift": ("olga", "/rollout/cluster/drift/"),
    "cluster-take-out": ("olga", "/rollout/cluster/take-out"),
    "edge-new": ("olga", "/rollout/add/edge"),
    "cluster-new": ("olga", "/rollout/add/cluster"),
    "audit": ("cyd", "/audit/"),
    "audit-event": ("cyd", "/audit/1/"),
    "settings": ("ada", "/settings/"),
    "people": ("ada", "/settings/people/"),
    "person": ("cyd", "/settings/who/person:ada/"),
    "teams": ("ada", "/settings/teams/"),
    "workloads": ("ada", "/settings/workloads/"),
    "agents": ("ada", "/settings/agents/"),
    "map": ("ada", "/map/"),
    "map-service": ("ada", "/map/payments/"),
    "network": ("cyd", "/network/"),
    "network-service": ("ada", "/network/?service=payments"),
    "network-subject": ("ada", "/network/?subject=person:ada"),
    "upkeep": ("cyd", "/settings/upkeep/"),
    "clean-ups": ("cyd", "/settings/upkeep/clean-ups/"),
    "standing": ("ben", "/settings/upkeep/standing/"),
    "standing-schedule": ("cyd", "/settings/upkeep/schedule/"),
    "signals": ("cyd", "/settings/signals/"),
    "tokens": ("ada", "/settings/tokens/"),
    "own": ("ada", "/settings/who/person:ada/"),
    "providers": ("olga", "/settings/providers/"),
    "provider-presets": ("olga", "/settings/providers/new/"),
    "provider-add": ("olga", "/settings/providers/new/?preset=okta_custom"),
    "identity-center-add": ("olga", "/settings/identity-center/new/"),
    "provider": ("olga", "/settings/providers/{provider}/"),
    "provider-tested": ("olga", "/settings/providers/{provider}/"),
    "provider-new": ("olga", "/settings/providers/contoso/"),
    "provider-edit": ("olga", "/settings/providers/{provider}/edit/"),
    "provider-trial": ("olga", "/oidc/{provider}/authenticate/?purpose=trial"),
    "leave": ("ada", "/settings/who/person:ada/"),
    "directories": ("olga", "/settings/directory/"),
    "directory": ("olga", "/settings/directory/{provider}/"),
    "directory-token": ("olga", "/settings/directory/contoso/"),
    "scim-log": ("olga", "/settings/directory/{provider}/log/"),
    "scim-exchange": ("olga", "/settings/directory/log/{exchange}/"),
    "mapping": ("olga", "/settings/directory/{provider}/rules/"),
    "mapping-preview": (
        "olga",
        "/settings/directory/{provider}/rules/?match=exact&pattern=sallyport-security&gives=team:owner&team=team:payments",
    ),
    "mapping-paused": ("olga", "/settings/directory/{paused}/rules/"),
    "mapping-remove": ("olga", "/settings/directory/{provider}/rules/{rule}/remove"),
    "signal-sender": ("olga", "/settings/signals/{provider}/"),
    "issuers": ("olga", "/settings/issuers/"),
    "aws": ("olga", "/settings/aws/"),
    "aws-filtered": ("olga", "/settings/aws/?show=bound&q=checkout"),
    "aws-principal": ("olga", "/settings/aws/{aws}/"),
    "aws-bound": ("olga", "/settings/aws/{aws_bound}/"),
    "sign-out-everywhere": ("cyd", "/settings/who/person:ada/sign-out-everywhere"),
    "left": ("cyd", "/settings/who/person:dan/left"),
    "workload": ("olga", "/settings/who/{workload}/"),
    "agent": ("olga", "/settings/who/agent:release-bot/"),
    "proof-add": ("olga", "/settings/who/agent:release-bot/proofs?kind=jwt"),
    "team": ("olga", "/settings/who/team:payments/"),
    "person-left": ("cyd", "/settings/who/{left}/"),
    "tokens-made": ("ada", "/settings/tokens/"),
    "rules": ("ada", "/settings/rules/"),
    "guardrails": ("ada", "/settings/guardrails/"),
    "rules-governed": ("cyd", "/settings/rules/"),
    "rule-new": ("cyd", "/settings/rules/new/?sentence=Short.&slug=short&version=0&count=0&max_duration=8+hours"),
    "rule": ("cyd", "/settings/rules/owner-approves/"),
    "guardrail": ("cyd", "/settings/guardrails/agents-never-delete/"),
    "outbox": ("olga", "/settings/outbox/"),
    "log-shippers": ("olga", "/settings/log-shippers/"),
    "gallery": ("olga", "/settings/gallery/"),
    "reasons": ("ada", "/docs/reasons"),
}


def make_token(page: Page) -> None:
    page.get_by_label("Name", exact=True).fill("Nightly report of open refunds")
    page.get_by_role("button", name="Make the token").click()


def press(name: str) -> Callable[[Page], None]:
    return lambda page: page.get_by_role("button", name=name).click()


def make_directory_token(page: Page) -> None:
    """Two are good at once; whoever looks a third time sees the page without a fresh one."""
    button = page.get_by_role("button", name=re.compile("^Make a"))
    if button.count():
        button.click()


def stay_before_leaving(page: Page) -> None:
    """The page leads on by itself, so the way to the provider is closed."""
    page.route("**/authorize?*", lambda route: route.fulfill(status=204))
    page.get_by_role("button", name="Link a sign-in with").first.click()


# what to do on a page before it is looked at
STEPS: Mapping[str, Callable[[Page], None]] = {
    "tokens-made": make_token,
    "provider-tested": press("Test"),
    "directory-token": make_directory_token,
    "leave": stay_before_leaving,
}


def visit(page: Page, name: str, names: Mapping[str, str], *, still: bool = False) -> Response:
    """Open the page and take its steps. ``still``: nothing moves there, so nothing is waited for."""
    address = PAGES[name][1].format(**names)
    answer = page.goto(address)
    assert answer is not None and answer.status == 200, f"{address}: {answer and answer.status}"
    if name in STEPS:
        STEPS[name](page)
    if not still:
        settle(page)
    return answer


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
    """Until everything the page asked for by itself has come."""
    page.wait_for_load_state("load")
    page.wait_for_function("() => !document.querySelector('.htmx-request')")


def assert_no_grave_fault(page: Page) -> None:
    found = [one for one in Axe().run(page).response["violations"] if one["impact"] in GRAVE]
    assert found == [], [(one["id"], [node["html"][:160] for node in one["nodes"]][:3]) for one in found]
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{page.url} scrolls sideways by {wide} px"
