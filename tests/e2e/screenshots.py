"""``make screenshots``: every page, light and dark, wide and narrow, into ``docs/screenshots/all`` (not committed)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from deploy.demo.places import REPOSITORY
from tests.e2e.browsing import LOOKS, PAGES, Look, context_for, settle, visit
from tests.e2e.conftest import CHROMIUM
from tests.e2e.furnishing import furnished
from tests.e2e.several import ask_for_several, take_rule_base
from tests.running import Running, running_demo, wait_until


def main() -> int:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "docs" / "screenshots" / "all"
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running_demo(Path(folder)) as demo:
        names = tell_a_story(demo)
        with furnished(demo) as made:
            take(demo, target, {**names, **made})
    return 0


def tell_a_story(demo: Running) -> dict[str, str]:
    """Something to look at: a denial, an open request, an approved and used grant."""
    ada, ben, cyd = demo.api("ada"), demo.in_browser("ben"), demo.in_browser("cyd")
    demo.call("ada", "POST", demo.edge("/payments/refunds"), "{}")
    body = {"service": "payments", "routes": ["createRefund"], "duration": 8 * 3600, "reason": "A customer paid twice."}
    request = ada.post("requests/", body).json()
    for reviewer in (ben, cyd):
        reviewer.post(f"requests/{request['id']}/review/", {"verdict": "approve"})
    wait_until(lambda: (ada.get(f"requests/{request['id']}/")["grant"] or {}).get("state") == "active", what="proof")
    used = demo.call("ada", "POST", demo.edge("/payments/refunds"), "{}").headers["X-Request-Id"]
    waiting = ada.post("requests/", {**body, "routes": ["getCharge"], "reason": "Looking at one charge."}).json()
    wait_until(lambda: ada.get("calls/", rid=used)["results"], what="the call in the record")
    return {
        "request": request["id"],
        "waiting": waiting["id"],
        "rid": used,
        "revision": "1",
        "firewall": ask_for_several(demo),
        **take_rule_base(demo),
    }


def take(demo: Running, target: Path, names: dict[str, str]) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for look in LOOKS:
            for name, (who, _) in PAGES.items():
                context = context_for(browser, demo, who, look)
                page = context.new_page()
                visit(page, name, names)
                page.screenshot(path=target / f"{name}-{look.name}.png", full_page=True)
                context.close()
            show_waiting(browser, demo, look, target, names)
        browser.close()


def show_waiting(browser: Browser, demo: Running, look: Look, target: Path, names: dict[str, str]) -> None:
    context = context_for(browser, demo, "ben", look)
    page = context.new_page()
    page.goto(f"/requests/{names['waiting']}/")
    settle(page)
    page.screenshot(path=target / f"request-waiting-{look.name}.png", full_page=True)
    context.close()


if __name__ == "__main__":
    sys.exit(main())
