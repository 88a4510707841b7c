"""The demo's small command line: a call under somebody's token, a request through the API, manage.py, and a hand that
changes something in the cluster behind the console's back.

It is what a user's own script would do: an API token is exchanged (RFC 8693) for a five-minute edge token, and that
token is presented at the edge. Nothing here has rights of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import requests

from deploy.demo import parts
from deploy.demo.places import REPOSITORY, Places
from deploy.demo.secrets import load_or_make

_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  (a token type's name, not a token)


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy.demo.client", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    call = commands.add_parser("call")
    call.add_argument("who")
    call.add_argument("method")
    call.add_argument("url")
    call.add_argument("--data", default=None, help="a JSON body")
    ask = commands.add_parser("ask")
    ask.add_argument("who")
    ask.add_argument("service")
    ask.add_argument("method")
    ask.add_argument("path")
    ask.add_argument("--hours", type=float, default=1.0)
    ask.add_argument("--reason", default="Trying the demo from the command line.")
    manage = commands.add_parser("manage")
    manage.add_argument("arguments", nargs=argparse.REMAINDER)
    commands.add_parser("meddle")
    arguments = parser.parse_args()
    places = Places.from_environment()
    handlers = {"call": _call, "ask": _ask, "manage": _manage, "meddle": _meddle}
    try:
        return handlers[arguments.command](places, arguments)
    except Unknown as problem:
        print(problem, file=sys.stderr)
        return 1
    except requests.ConnectionError as error:
        print(f"Nobody answers there; is the demo running (`make demo`)?\n{error}", file=sys.stderr)
        return 1


class Unknown(Exception):
    """A name was typed that the demo does not know; the message says which there are."""


def api_token(state: dict[str, Any], who: str) -> str:
    """The demo's API token of ``who``. Raises Unknown."""
    tokens: dict[str, str] = state["tokens"]
    if who not in tokens:
        raise Unknown(f"The demo knows nobody called {who}. It knows {', '.join(sorted(tokens))}.")
    return tokens[who]


def edge_token(state: dict[str, Any], who: str) -> str:
    """Exchanges the demo API token of ``who`` for an edge token."""
    form = {"grant_type": _EXCHANGE, "subject_token": api_token(state, who), "subject_token_type": _ACCESS_TOKEN}
    answer = requests.post(f"{state['console']}/oauth/token", data=form, timeout=10)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def call_edge(state: dict[str, Any], token: str | None, method: str, url: str, data: str | None) -> requests.Response:
    """One call to the local edge: its hosts are names under .localhost, so the address is given apart from the name."""
    parts_of = urlsplit(url)
    if parts_of.scheme != "http" or not parts_of.netloc:
        raise Unknown(f"{url} is no address of the demo's edge: begin with {state['edge']}/.")
    headers = {"Host": parts_of.netloc, "Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if data is not None:
        headers["Content-Type"] = "application/json"
    target = f"http://{state['edge_address']}{parts_of.path or '/'}" + (f"?{parts_of.query}" if parts_of.query else "")
    return requests.request(method, target, headers=headers, data=data, timeout=10, allow_redirects=False)


def _call(places: Places, arguments: argparse.Namespace) -> int:
    state = _state(places)
    token = edge_token(state, arguments.who)
    data = (
        arguments.data if arguments.data is not None or arguments.method.upper() in {"GET", "HEAD", "DELETE"} else "{}"
    )
    answer = call_edge(state, token, arguments.method, arguments.url, data)
    print(f"HTTP {answer.status_code}  request id {answer.headers.get('X-Request-Id', '-')}")
    print(_pretty(answer.text))
    return 0 if answer.ok else 1


def _ask(places: Places, arguments: argparse.Namespace) -> int:
    state = _state(places)
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {api_token(state, arguments.who)}"
    base = f"{state['console']}/api/v1"
    asked = {
        "service": arguments.service,
        "routes": _routes(session, base, arguments),
        "duration": int(arguments.hours * 3600),
        "reason": arguments.reason,
    }
    answer = session.post(f"{base}/requests/", json=asked, timeout=10)
    print(_pretty(answer.text))
    if not answer.ok:
        return 1
    request = answer.json()
    print(f"\nWaiting for people: {state['console']}/requests/{request['id']}/", flush=True)
    while request["state"] == "pending":
        time.sleep(1)
        request = session.get(f"{base}/requests/{request['id']}/", timeout=10).json()
    print(f"It is {request['state']}.")
    return 0 if request["state"] == "approved" else 1


def _routes(session: requests.Session, base: str, arguments: argparse.Namespace) -> list[str]:
    """The keys of the routes that were named by method and path. Raises Unknown."""
    service = session.get(f"{base}/services/{arguments.service}/", timeout=10)
    if service.status_code == 404:
        raise Unknown(f"The catalogue has no service called {arguments.service}.")
    service.raise_for_status()
    routes = service.json()["routes"]
    method = arguments.method.upper()
    found = [one["key"] for one in routes if method in one["methods"] and one["template"] == arguments.path]
    if not found:
        known = "\n".join(f"  {' or '.join(one['methods'])} {one['template']}" for one in routes)
        raise Unknown(f"{arguments.service} has no {method} {arguments.path}. It has:\n{known}")
    return found


def _manage(places: Places, arguments: argparse.Namespace) -> int:
    _state(places)
    environment = parts.console_environment(places, load_or_make(places.state))
    argv = [sys.executable, str(REPOSITORY / "manage.py"), *arguments.arguments]
    os.execve(argv[0], argv, {**os.environ, **environment})  # noqa: S606  (our own manage.py)


def _meddle(places: Places, arguments: argparse.Namespace) -> int:
    """What somebody with rights of their own in the cluster could do: let every pod call Recommendations."""
    state = _state(places)
    url = f"{state['cluster']}/apis/networking.k8s.io/v1/namespaces/outreach/networkpolicies/sp-recommendations"
    headers = {
        "Authorization": f"Bearer {state['cluster_admin_token']}",
        "Content-Type": "application/merge-patch+json",
    }
    opened: dict[str, Any] = {"spec": {"ingress": [{"from": [{"podSelector": {}}]}]}}
    answer = requests.patch(f"{url}?fieldManager=kubectl-edit", json=opened, headers=headers, timeout=10)
    if answer.status_code == 404:
        print("Nothing is closed in the cluster yet: agree to its plan first.", file=sys.stderr)
        return 1
    answer.raise_for_status()
    print(f"Every pod may call Recommendations now. See {state['console']}/rollout/cluster/ and press Look now.")
    return 0


def _state(places: Places) -> dict[str, Any]:
    path = places.state / "state.json"
    if not path.exists():
        raise SystemExit("The demo is not running: start it with `make demo`.")
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return stored


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2)
    except ValueError:
        return text


if __name__ == "__main__":
    sys.exit(main())
