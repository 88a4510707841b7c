"""What an API client may learn about itself and its account.

There is one client, which may do everything.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from apps.localedge import datastream, keystore
from apps.localedge.edgeworkers import Clock
from apps.localedge.engine import Json
from apps.localedge.http import Answer, Request, Route, route

IAM = "/identity-management/v3"
NETWORK_LISTS, CLIENT_LISTS = "/network-list/v2", "/client-list/v1"
CREDENTIAL_DAYS = 730
_APIS = (
    ("EdgeWorkers", "/edgeworkers/v1"),
    ("EdgeKV", "/edgekv/v1"),
    ("Property Manager (PAPI)", "/papi/v1"),
    ("mTLS Origin Keystore", keystore.BASE),
    ("DataStream 2", datastream.BASE),
    ("Network Lists", NETWORK_LISTS),
    ("Client Lists", CLIENT_LISTS),
)
_ACTIONS = ("delete", "activate", "deactivate", "editDescription", "editExpiration")


class Account:
    def __init__(self, *, now: Clock) -> None:
        self._now = now

    def routes(self) -> tuple[Route, ...]:
        return (route("GET", f"{IAM}/api-clients/self", self.get_client),)

    def get_client(self, request: Request) -> Answer:
        body: dict[str, Json] = {
            "accessToken": "akab-withheld",
            "activeCredentialCount": 1,
            "allowAccountSwitch": False,
            "authorizedUsers": ["local"],
            "baseURL": request.headers.get("host", ""),
            "canAutoCreateCredential": False,
            "clientDescription": "The one client of this local edge",
            "clientId": "local",
            "clientName": "Local edge",
            "clientType": "CLIENT",
            "createdBy": "local",
            "createdDate": _iso(keystore.BEGAN),
            "isLocked": False,
            "notificationEmails": [],
        }
        if request.query("apiAccess") == "true":
            body["apiAccess"] = {"allAccessibleApis": False, "apis": [_api(*entry) for entry in enumerate(_APIS)]}
        if request.query("credentials") == "true":
            body["credentials"] = [self._credential(request.actor)]
        return Answer.json(body)

    def _credential(self, client_token: str) -> Json:
        ends = datetime.fromtimestamp(self._now(), UTC) + timedelta(days=CREDENTIAL_DAYS)
        return {
            "actions": dict.fromkeys(_ACTIONS, False),
            "clientToken": client_token,
            "createdOn": _iso(keystore.BEGAN),
            "credentialId": 1,
            "description": "From the configuration file",
            "expiresOn": _iso(ends),
            "status": "ACTIVE",
        }


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _api(number: int, named: tuple[str, str]) -> Json:
    name, base = named
    return {
        "accessLevel": "READ-WRITE",
        "apiId": number + 1,
        "apiName": name,
        "description": name,
        "documentationUrl": "https://techdocs.akamai.com/",
        "endPoint": base,
    }
