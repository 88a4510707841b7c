"""A firewall request and an old rule base to look at, told to a running demo over its API."""

from __future__ import annotations

from tests.firewall.samples import TEXT
from tests.running import Running


def ask_for_several(demo: Running) -> str:
    """A firewall request with a line that is clear and one that is not, and two zones that judge them."""
    cyd = demo.api("cyd")
    for slug, holds in (("people", {"kinds": ["person"]}), ("cards", {"services": ["payments"]})):
        answer = cyd.session.put(f"{cyd.base}/firewall/zones/{slug}/", json={"name": slug.title(), **holds})
        assert answer.status_code == 200, answer.text
    lines = [
        {"source": "me", "destination": "payments", "method": "GET", "path": "/charges/{id}"},
        {"source": "me", "destination": "api.shop.localhost", "ports": "443"},
    ]
    body = {"title": "Two ways", "reason": "Looking at two things.", "duration": 3600, "lines": lines}
    answer = demo.api("ada").post("firewall/requests/", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def take_rule_base(demo: Running) -> dict[str, str]:
    """A rule base with every kind of finding, and a clean-up of it that waits."""
    ada = demo.api("ada")
    base = ada.post("firewall/rulebases/", {"name": "Old border firewall", "text": TEXT})
    assert base.status_code == 201, base.text
    codes = ["duplicate", "shadowed", "redundant"]
    asked = ada.post(
        f"firewall/rulebases/{base.json()['id']}/cleanings/", {"codes": codes, "reason": "Nobody needs these."}
    )
    assert asked.status_code == 201, asked.text
    return {"base": str(base.json()["id"]), "cleaning": str(asked.json()["id"])}
