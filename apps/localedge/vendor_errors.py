"""Akamai's errors by name, so that tests can have any of them answered: see ``faults``.

Statuses, codes and types are those of the published descriptions; a ``detail`` is a sample, never to be relied on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apps.localedge.engine import Json
from apps.localedge.http import Answer, Problem
from apps.localedge.problems import bad_request, edgekv_problem, edgeworkers_problem

_EDGEWORKERS: Mapping[str, tuple[int, str]] = {
    "EW0011": (403, "The client may not view this EdgeWorker"),
    "EW0012": (403, "The client may not edit this EdgeWorker"),
    "EW0013": (403, "The client may not create versions in this group"),
    "EW0014": (403, "The client may not activate in this group"),
    "EW0015": (403, "The client may not view activations in this group"),
    "EW1021": (400, "This version is already being activated"),
    "EW1031": (400, "This version is already being deactivated"),
    "EW1032": (400, "This version has already been deactivated"),
    "EW2002": (404, "Unable to find the requested EdgeWorker ID"),
    "EW2301": (404, "Unable to find the secret key"),
    "EW3002": (422, "Version limit reached for EdgeWorker ID"),
    "EW3101": (429, "Activation API rate limit exceeded"),
    "EW4303": (500, "Error processing request"),
    "EW4807": (400, "The host name is not valid"),
}
_EDGEKV: Mapping[str, tuple[int, str]] = {
    "EKV_0000": (500, "An unexpected error has occurred"),
    "EKV_1000": (403, "You do not have access to the group"),
    "EKV_1002": (404, "The namespace does not exist or you have no permission to it"),
    "EKV_1005": (400, "Your account is not entitled to this data access policy"),
    "EKV_2000": (400, "The request is not well formed"),
    "EKV_2001": (422, "The JSON request body contained a syntax error or duplicate attributes."),
    "EKV_3000": (409, "Something with that name exists with a different configuration"),
    "EKV_9000": (400, "The requested namespace does not exist."),
    "EKV_9100": (429, "Your request has been denied: 90 hits per second too high. limit set at 73. Please try again."),
}
_PAPI: Mapping[str, tuple[int, str, str, str]] = {
    "property_activation_still_pending": (
        422,
        "papi/v1/property_activation_still_pending",
        "Property Manager Exception",
        "property_activation_still_pending",
    ),
    "resource-busy": (
        409,
        "papi/v1/resource-busy",
        "Operation failed",
        "Another edit or activation request on same network in progress for this property version.",
    ),
    "tower_precondition": (
        412,
        "papi/v0/toolkit/validation_failed.error.activation.tower_precondition.failed",
        "Precondition Failed",
        "Cannot activate the property at this time, please try again.",
    ),
    "limit-exceeded": (
        429,
        "papi/v1/limit-exceeded",
        "Too many versions",
        "Too many versions exist of this property. You must delete one before continuing.",
    ),
}
_GATEWAY: Mapping[str, tuple[int, str]] = {
    "clock_skew": (401, "Invalid timestamp"),
    "credential_expired": (401, "The credential has expired"),
    "credential_refused": (401, "Invalid authorization client token"),
    "unavailable": (503, "The service is not available"),
    "not_permitted": (403, "The client does not have the grant needed for the request"),
}
_HTML = b"<html><body><h1>Bad gateway</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Cut(Answer):
    """An answer of which only the first half is sent."""


def answer_named(name: str, headers: Mapping[str, str]) -> Answer:
    if name in _EDGEWORKERS:
        status, detail = _EDGEWORKERS[name]
        return _problem(edgeworkers_problem(status, detail, name), headers)
    if name in _EDGEKV:
        status, detail = _EDGEKV[name]
        return _problem(edgekv_problem(status, detail, name), headers)
    if name in _GATEWAY:
        return _problem(_gateway(*_GATEWAY[name]), headers)
    if name in _PAPI:
        return _problem(_papi(*_PAPI[name]), headers)
    if name == "not_ready":
        return Answer.json({f"{who}Status": "PENDING" for who in ("account", "staging", "production")})
    if name == "not_json":
        return Answer(200, _HTML, "text/html", headers)
    if name == "cut":
        return Cut(200, b'{"versions":[]}', "application/json", headers)
    raise bad_request(f"not a fault: there is no error {name}")


def is_known(name: str) -> bool:
    return name in {*_EDGEWORKERS, *_EDGEKV, *_PAPI, *_GATEWAY, "not_json", "not_ready", "cut"}


def _problem(problem: Problem, headers: Mapping[str, str]) -> Answer:
    return Answer.problem(Problem(problem.status, problem.body, headers))


def _papi(status: int, kind: str, title: str, detail: str) -> Problem:
    body: dict[str, Json] = {
        "type": f"https://problems.luna.akamaiapis.net/{kind}",
        "title": title,
        "detail": detail,
        "instance": "papi/v1/properties/prp_1",
        "status": status,
    }
    return Problem(status, {**body, "limitKey": "VERSIONS", "limit": 500, "remaining": 0} if status == 429 else body)


def _gateway(status: int, detail: str) -> Problem:
    kind = {401: "pep-authn", 403: "pep-authz"}.get(status, "gateway")
    body: dict[str, Json] = {
        "type": f"https://problems.luna.akamaiapis.net/-/{kind}/deny",
        "title": {401: "Not authorized", 403: "Forbidden"}.get(status, "Service unavailable"),
        "status": status,
        "detail": detail,
        "instance": "/",
        "method": "GET",
        "authzRealm": "local",
    }
    return Problem(status, body)
