"""What Akamai may answer instead of what was asked, and what it means: one entry for each, in words for people.

Sources: the published API descriptions, Akamai's page "Rate and resource limiting", its list of validation types, and
the messages of its own command line tool. What no entry knows is told by its status.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from apps.rollout.drivers.base import VendorError


class Does(StrEnum):
    """What the driver does about it."""

    RETRY = "retries"
    WAIT = "waits"
    ASK = "asks a person"
    GO_ON = "goes on"
    HOLD = "stops until told"


@dataclass(frozen=True, slots=True)
class Trouble:
    """``first`` and ``longest`` are seconds: the first wait, doubled each time up to the longest.

    A ``Retry-After`` that asks for more than that is obeyed; where a limit was met, one that asks for less as well.
    """

    code: str
    what: str
    you: str
    does: Does
    first: float
    longest: float

    @property
    def now(self) -> str:
        return _NOW[self.does].format(first=_span(self.first), longest=_span(self.longest))

    @property
    def sentence(self) -> str:
        return f"{self.what} {self.now} {self.you}".strip()

    def pause(self, attempts: int, retry_after: float | None = None) -> float:
        """Seconds until the next try, after so many failed ones (the first is 1)."""
        if self.does == Does.WAIT and retry_after is not None:
            return retry_after
        own: float = min(self.first * 2 ** min(max(attempts, 1) - 1, 20), self.longest)
        return max(own, retry_after or 0.0)


_NOW = {
    Does.RETRY: "Sallyport tries again after {first}, then less and less often, every {longest} at the latest.",
    Does.WAIT: "Sallyport waits {first}, or as long as Akamai says, and then goes on. Nothing is lost.",
    Does.ASK: "Sallyport looks again every {longest}; what runs at the edge stays as it is.",
    Does.GO_ON: "Sallyport takes it as done and goes on after {first}.",
    Does.HOLD: "Sallyport does not ask again by itself; what runs at the edge stays as it is, and grants still travel.",
}


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} second{'' if seconds == 1 else 's'}"
    return f"{seconds / 60:g} minute{'' if seconds == 60 else 's'}"


def _retry(code: str, what: str, you: str = "You need not do anything.", first: float = 1) -> Trouble:
    return Trouble(code, what, you, Does.RETRY, first, 120)


def _wait(code: str, what: str, seconds: float, longest: float) -> Trouble:
    return Trouble(code, what, "You need not do anything.", Does.WAIT, seconds, longest)


def _ask(code: str, what: str, you: str) -> Trouble:
    return Trouble(code, what, you, Does.ASK, 300, 300)


def _go_on(code: str, what: str) -> Trouble:
    return Trouble(code, what, "You need not do anything.", Does.GO_ON, 5, 60)


def _hold(code: str, what: str, you: str) -> Trouble:
    return Trouble(code, what, you, Does.HOLD, 300, 300)


_BUNDLE = "Report it: the bundle is made by Sallyport. Meanwhile use the code of an older revision again."
_PERMISSION = "In Akamai Control Center, give the API client the missing right, then press Try now."
_ROOM = "Delete what is not needed in Akamai Control Center, or ask Akamai for more, then press Try now."
_AGAIN = "Look at the activation in Akamai Control Center; press Try now to have it asked for again."
_CREDENTIALS = "Give the target working credentials; Sallyport goes on within five minutes, or press Try now."

_KV_TOKEN = "Delete the token in Akamai's EdgeKV; Sallyport makes another at the next set-up."  # noqa: S105 - words
_VALIDATIONS = {
    "ACCESS_TOKEN_EXPIRED": ("The token the code reads EdgeKV with has expired.", _KV_TOKEN),
    "ACCESS_TOKEN_INVALID": ("Akamai does not accept the token the code reads EdgeKV with.", _KV_TOKEN),
    "ACCESS_TOKEN_MISSING": ("The bundle names no token to read EdgeKV with.", _BUNDLE),
    "ACCESS_TOKEN_REFERENCE_INVALID": ("The token the bundle names is not known, or not active yet.", _KV_TOKEN),
    "EDGEKV_FILE_MISSING": ("The bundle lacks edgekv.js, which its code imports.", _BUNDLE),
    "EDGEKV_TOKENS_FILE_MISSING": ("The bundle lacks edgekv_tokens.js, which its code imports.", _BUNDLE),
    "EMPTY_TARBALL": ("The bundle is empty.", _BUNDLE),
    "INVALID_EDGEKV_IMPORTS": ("The bundle imports EdgeKV in a way Akamai refuses.", _BUNDLE),
    "INVALID_FILE_PERMISSION": ("A file of the bundle has a mode Akamai refuses.", _BUNDLE),
    "INVALID_GZIP_FORMAT": ("Akamai cannot unpack the bundle: it is not gzip.", _BUNDLE),
    "INVALID_MANIFEST": ("Akamai refuses the bundle's manifest, bundle.json.", _BUNDLE),
    "INVALID_TAR_ARCHIVE": ("Akamai cannot unpack the bundle: it is not a tar archive.", _BUNDLE),
    "MAX_COMPRESSED_SIZE_EXCEEDED": ("The packed bundle is larger than the resource tier allows.", _ROOM),
    "MAX_UNCOMPRESSED_SIZE_EXCEEDED": ("The unpacked bundle is larger than the resource tier allows.", _ROOM),
    "MISSING_MANDATORY_FILES": ("The bundle lacks main.js or bundle.json.", _BUNDLE),
    "STATIC_VALIDATION_FAILED": ("Akamai's check of the code found a fault.", _BUNDLE),
    "DEPENDENCY_NOT_FOUND": ("The bundle depends on another EdgeWorker that does not exist.", _BUNDLE),
    "MISSING_MEGABUNDLE_JSON_FILE": ("Akamai expects a combined bundle here and finds no megabundle.json.", _BUNDLE),
    "MISSING_DEPENDENCIES_DIRECTORY": ("Akamai expects a combined bundle here and finds no dependencies.", _BUNDLE),
    "INVALID_MEGABUNDLE_JSON_FILE": ("Akamai refuses the combined bundle's megabundle.json.", _BUNDLE),
}

CATALOGUE: dict[str, Trouble] = {
    one.code: one
    for one in (
        # What EdgeWorkers answers
        _go_on("EW1021", "This version is being activated already."),
        _retry("EW1031", "This version is being deactivated at this moment.", first=30),
        _go_on("EW1032", "This version was deactivated before."),
        _retry("EW2002", "Akamai does not find the EdgeWorker, version or activation that was named.", first=5),
        _ask("EW2301", "Akamai does not find a secret key that was named.", _AGAIN),
        _ask("EW3002", "The account has no room for another EdgeWorker or version.", _ROOM),
        _wait("EW3101", "Too many activations or uploads were asked for within a minute.", 60, 60),
        _retry("EW4303", "Akamai had an internal error.", first=5),
        _ask("EW4807", "Akamai does not know a host name that was named.", "Is it in a property of the account?"),
        *(
            _ask(f"EW00{number}", "The API client may not do this with EdgeWorkers.", _PERMISSION)
            for number in (11, 12, 13, 14, 15)
        ),
        # What EdgeKV answers
        _retry("EKV_0000", "EdgeKV had an internal error."),
        _ask("EKV_1000", "The API client may not work in this access group.", _PERMISSION),
        _ask("EKV_1002", "The EdgeKV namespace is missing, or the API client may not use it.", _PERMISSION),
        _ask("EKV_1005", "The account may not have the data access policy that was asked for.", _PERMISSION),
        _ask("EKV_2000", "EdgeKV refuses the request as not well formed.", "Report it, with Akamai's words."),
        _ask("EKV_2001", "EdgeKV cannot read the JSON of an item.", "Report it, with Akamai's words."),
        _retry("EKV_3000", "EdgeKV has something else under this name already.", first=5),
        _ask("EKV_9000", "EdgeKV refuses this item: its name, size or namespace.", "Look at the item named below."),
        _wait("EKV_9100", "EdgeKV had more calls within a second than the account may make.", 1, 60),
        # What Property Manager answers
        _retry("property_activation_still_pending", "Another activation of the property is under way.", first=10),
        _retry("resource-busy", "Somebody edits or activates this version of the property at this moment.", first=10),
        _retry("tower_precondition", "Akamai cannot activate the property at this moment.", first=10),
        _ask("limit-exceeded", "The contract has no room for another of these.", _ROOM),
        # What the gateway before all of them answers
        _ask("clock_skew", "The clock of this server is more than 30 seconds off, so Akamai refuses its calls.",
             "Set this server's clock by NTP; Sallyport goes on by itself."),
        _ask("credential_expired", "The API client's credential has expired.", _CREDENTIALS),
        _ask("credential_refused", "Akamai refuses the credential: unknown, revoked or wrong.", _CREDENTIALS),
        _ask("not_permitted", "The API client lacks the right to do this.", _PERMISSION),
        # What is no proper answer
        _retry("timeout", "Akamai did not answer in time; whether it did what was asked is looked up first.", first=5),
        _retry("unreachable", "Akamai cannot be reached.", "If it lasts, look at this server's way to the internet."),
        _retry("cut", "Akamai's answer broke off half-way.", first=2),
        _retry("not_json", "Something other than Akamai's API answered, a proxy perhaps.",
               "If it lasts, look at what stands between this server and Akamai."),
        _retry("odd_answer", "Akamai's answer has another shape than the one that is documented.",
               "Report it, with the words below.", first=60),
        _wait("throttled", "Akamai asks for fewer calls.", 60, 120),
        _retry("unavailable", "Akamai is not available for the moment.", first=5),
        _ask("refused", "Akamai refuses what was asked.", "Read Akamai's words; report it if they say nothing to you."),
        _ask("not_found", "Akamai does not find what was asked for.", "Has it been deleted in Akamai Control Center?"),
        _retry("not_ready", "EdgeKV is still being made ready for the account, once for all.", first=5),
        _ask("namespace_missing", "The EdgeKV namespace that was chosen for this target is not there.",
             "Make it in Akamai Control Center, or choose another under EdgeWorker and EdgeKV, then press Try now."),
        _ask("namespace_shared", "Another target of this account keeps its grants in the same EdgeKV namespace.",
             "Choose another under EdgeWorker and EdgeKV."),
        _ask("version_taken", "Akamai holds another bundle under the name of this version.", _BUNDLE),
        # How an activation may end
        _retry("activation_aborted", "Akamai gave up an activation.", first=30),
        _retry("activation_error", "An activation ended in an error at Akamai.", first=30),
        _retry("activation_expired", "An activation took too long and ran out at Akamai.", first=30),
        _hold("activation_cancelled", "The activation was stopped by a person.", _AGAIN),
        _hold("activation_deleted", "Akamai deleted the activation.", _AGAIN),
        _hold("activation_failed", "Three activations of this version failed one after the other.", _AGAIN),
        # What was tried and found wanting
        _hold("staging_refused",
              "On staging the code did not answer as the policy says, so production was not asked for.",
              "See what was asked under Releases; when it is mended, press Try now."),
        _hold("code_taken_back", "This code was taken back from production once already.",
              "See why under Releases; press Try now to let it go there once more."),
        _hold("code_not_good", "This code did not answer as it should on production, and nothing better was there.",
              "See what was asked under Releases; press Try now to have it asked again."),
        # Bundles found invalid
        *(_ask(kind, what, you) for kind, (what, you) in _VALIDATIONS.items()),
        _ask("invalid_bundle", "Akamai finds the code bundle not valid.", _BUNDLE),
    )
}  # fmt: skip

UNNAMED = Trouble("", "", "", Does.RETRY, 1, 120)
"""Trouble of a driver that keeps no catalogue."""

MOST_SAID = 300

ENDINGS = {
    "ABORTED": "activation_aborted",
    "ERROR": "activation_error",
    "EXPIRED": "activation_expired",
    "CANCELLED": "activation_cancelled",
    "DELETED_BY_AKAMAI": "activation_deleted",
}


@contextmanager
def as_documented() -> Iterator[None]:
    """What Akamai answers is read as it is documented. An answer of another shape is told in words and tried again,
    rather than ending a worker that would be at it again at once, without a word to anybody.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        said = f"answered in another shape than the one that is documented ({type(error).__name__}: {error})"
        raise VendorError("Akamai", 0, said[:MOST_SAID], kind="odd_answer") from error


def explain(error: VendorError) -> Trouble:
    """The entry for an error. There is always one."""
    if error.kind in CATALOGUE:
        return CATALOGUE[error.kind]
    body = _body(error.text)
    code = str(body.get("errorCode", ""))
    return (
        CATALOGUE.get(code)
        or property_trouble(error)
        or CATALOGUE[_by_status(error, str(body.get("detail", "")).lower())]
    )


def invalid_bundle(errors: list[dict[str, object]]) -> VendorError:
    """What Akamai's validation found; it answers 200 all the same."""
    kind = str(errors[0].get("type", "")) if errors else ""
    return VendorError(
        "The bundle is not valid", 200, json.dumps(errors), kind=kind if kind in _VALIDATIONS else "invalid_bundle"
    )


def _body(text: str) -> dict[str, object]:
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


_PROPERTY = ("property_activation_still_pending", "resource-busy", "tower_precondition", "limit-exceeded")


def property_trouble(error: VendorError) -> Trouble | None:
    """What Property Manager's own type of a problem means; None for one that only its status tells of."""
    kind = str(_body(error.text).get("type", "")).rpartition("/")[2]
    return next((CATALOGUE[name] for name in _PROPERTY if name in kind), None)


def _by_status(error: VendorError, detail: str) -> str:
    if error.status == 401:
        return _unauthorised(detail)
    if error.status == 403:
        return "not_permitted"
    if error.status == 404:
        return "not_found"
    if error.status == 429:
        return "throttled"
    if error.status == 0:
        return "unreachable"
    if 300 <= error.status < 400 or not _body(error.text):
        return "unavailable" if error.status >= 500 else "not_json"
    return "unavailable" if error.status >= 500 else "refused"


def _unauthorised(detail: str) -> str:
    if "timestamp" in detail:
        return "clock_skew"
    return "credential_expired" if "expired" in detail else "credential_refused"
