"""What the demo tells its user, and the same for scripts."""

from __future__ import annotations

from deploy.demo.places import Places


def edge_url(places: Places, host: str = "api.shop.localhost") -> str:
    return f"http://{host}:{places.ports['edge']}"


def state_document(places: Places, setup: dict[str, object]) -> dict[str, object]:
    """``.demo/state.json``: addresses and demo credentials."""
    return {
        "console": places.web_url,
        "edge": edge_url(places),
        "edge_address": f"127.0.0.1:{places.ports['edge']}",
        "edge_control": places.edge_control_url,
        "cluster": places.cluster_url,
        "ports": places.ports,
        "mesh_base": places.mesh_base,
        **setup,
    }


def banner(places: Places, *, seconds: float) -> str:
    web, edge = places.web_url, edge_url(places)
    return f"""
  ╭────────╮╭────────╮   Sallyport is up after {seconds:.0f} s.
  │ ╭────╮ ││ ╭────╮ │
  │ │edge│ ││ │mesh│ │   Open   {web}/sign-in/
  ╰─┴────┴─╯╰─┴────┴─╯   Sign in with one click as Ada (engineer), Ben (owner of payments) or Cyd (security).

  Three commands to try, in another terminal:

    1. Knock as Ada, who has no access yet:
       deploy/demo/call ada POST {edge}/payments/refunds
    2. Ask as the agent release-bot, through the API:
       deploy/demo/ask release-bot shipping POST /quotes
    3. See that nothing was changed behind anybody's back:
       deploy/demo/manage verify_audit

  Addresses and demo credentials: {places.state}/state.json      Ctrl-C stops everything.
"""
