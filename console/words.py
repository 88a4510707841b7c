"""The same word for the same thing on every page: states, doors, risks, names and lengths of time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """How one state is shown: its word, its tone (ok, wait, move, bad, off) and its icon."""

    label: str
    tone: str
    icon: str = "info"


DOOR_STATES = {
    "closed": Words("Closed", "off"),
    "opening": Words("Opening", "move"),
    "open": Words("Open", "ok"),
    "proven": Words("Open and proven", "ok"),
    "failing": Words("Failing", "bad"),
    "closing": Words("Closing", "wait"),
    "": Words("Not asked for", "off"),
    # what a door said to one call
    "allow": Words("Let through", "ok"),
    "deny": Words("Refused", "bad"),
}

RULE_STATES = {
    "closed": Words("Not in force", "off"),
    "opening": Words("On its way", "move"),
    "open": Words("In force", "ok"),
    "proven": Words("In force and proven", "ok"),
    "failing": Words("Failing", "bad"),
    "closing": Words("Being taken out", "wait"),
    "": Words("Not asked for", "off"),
}
"""What a door does about a traffic rule, which opens nothing."""

STATES = {
    # requests
    "pending": Words("Waiting", "wait", "wait"),
    "approved": Words("Approved", "ok", "done"),
    "denied": Words("Denied", "bad", "no"),
    "expired": Words("Ran out", "off", "off"),
    "cancelled": Words("Withdrawn", "off", "off"),
    # grants
    "opening": Words("Opening", "move", "wait"),
    "active": Words("Open", "ok", "done"),
    "revoked": Words("Revoked", "off", "stop"),
    "handed_back": Words("Handed back", "off", "undo"),
    # subjects, services, things with an end
    "suspended": Words("Suspended", "bad", "stop"),
    "retired": Words("Retired", "off", "off"),
    # what providers said about people
    "waiting": Words("Waiting", "wait", "wait"),
    "left": Words("Left", "bad", "stop"),
    "signed_out": Words("Signed out, tokens revoked", "ok", "out"),
    "sessions_ended": Words("Signed out", "ok", "out"),
    "noted": Words("Only noted", "off", "info"),
    "nobody": Words("Nobody we know", "off", "off"),
    "refused": Words("Refused", "wait", "alert"),
    # activations and what they bring
    "applying": Words("Applying", "move", "wait"),
    "proven": Words("Proven", "ok", "done"),
    "failed": Words("Failed", "bad", "alert"),
    "superseded": Words("Overtaken", "off", "off"),
    "staging": Words("On its way to staging", "move", "wait"),
    "tried": Words("On its way to production", "move", "wait"),
    "watched": Words("Watched", "move", "wait"),
    "good": Words("Good", "ok", "done"),
    "taken_back": Words("Taken back", "bad", "undo"),
    "stuck": Words("Not good", "bad", "alert"),
    "overtaken": Words("Overtaken", "off", "off"),
    "drifted": Words("Drifted", "bad", "alert"),
    # calls
    "allow": Words("Allowed", "ok", "ok"),
    "deny": Words("Denied", "bad", "no"),
    # messages
    "done": Words("Done", "ok", "done"),
    "dead": Words("Given up", "bad", "alert"),
}


@dataclass(frozen=True, slots=True)
class RiskWords:
    label: str
    tone: str
    bars: tuple[bool, bool, bool]


RISKS = {
    "low": RiskWords("Low risk", "ok", (True, False, False)),
    "medium": RiskWords("Medium risk", "wait", (True, True, False)),
    "high": RiskWords("High risk", "bad", (True, True, True)),
}

READS = frozenset({"GET", "HEAD", "OPTIONS"})


def initials(name: str, kind: str) -> str:
    if kind == "agent":
        return "A"
    words = brief_name(name, kind).replace("-", " ").split()
    return "".join(word[0] for word in words[:2]).upper() or "?"


def brief_name(name: str, kind: str) -> str:
    """A workload is called by its service account where a name is short; the whole id is on its own page."""
    return name.rsplit("/", 1)[-1] if kind == "workload" else name


def door_sentence(edge: str, mesh: str) -> str:
    if edge and edge == mesh:
        return f"Both: {DOOR_STATES[edge].label.lower()}"
    said = [f"{name}: {DOOR_STATES[state].label.lower()}" for name, state in (("edge", edge), ("mesh", mesh)) if state]
    return (", ".join(said) or "no door").capitalize()


_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def span_words(seconds: float | None) -> str:
    """``28800`` is "8 hours", ``5400`` is "1 hour 30 minutes"; None is "standing"."""
    if seconds is None:
        return "standing"
    left, said = int(seconds), list[str]()
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            said.append(f"{count} {unit}{'' if count == 1 else 's'}")
    return " ".join(said[:2]) or "no time"


_NOUNS = {
    "api_token": "API token",
    "aws": "AWS",
    "cleaning": "Clean-up of a rule base",
    "host": "Guarded host",
    "mapping": "Group mapping",
    "standing": "Standing access",
    "zonerule": "Rule between zones",
}


def action_words(action: str) -> str:
    """``access.request.approved`` is "Request approved": what happened to what, for whoever reads the record."""
    *before, happened = action.split(".")
    noun = before[-1] if before else ""
    words = f"{_NOUNS.get(noun, noun.capitalize())} {happened}".replace("_", " ").strip()
    return words[:1].upper() + words[1:]


@dataclass(frozen=True, slots=True)
class Who:
    """A subject known only by its key, for rows that hold no more than that."""

    kind: str
    name: str


def who_of(key: str) -> Who | None:
    """``person:ada`` is the person ada; an empty key is nobody."""
    kind, found, name = key.partition(":")
    return Who(kind, name) if found else None
