"""The words beside the picture: what its lines mean, and what it leaves out. Pure."""

from __future__ import annotations

from collections.abc import Collection

from apps.telemetry.network.composing import Picture
from apps.telemetry.network.reading import MOST_CALLS, MOST_READ, Found

LOOKS = {
    "quiet": "open, no call seen",
    "busy": "the thicker, the more calls",
    "moving": "a door is moving",
    "failing": "a door is failing",
    "denied": "denied, and stopped at a door",
}


def looks_of(drawn: Collection[str]) -> list[tuple[str, str]]:
    """A key to what is drawn and to nothing else."""
    return [(look, words) for look, words in LOOKS.items() if look in drawn]


def left_out(found: Found, picture: Picture) -> str:
    sampled = f", as far as they are among the latest {MOST_CALLS}" if found.is_sampled else ""
    said = [f"Calls are those of the last day that you may see, without probes{sampled}."]
    if picture.services_left:
        many = len(picture.services)
        said.append(f"Drawn are {many} of {many + picture.services_left} services, those most called first.")
    if picture.is_folded:
        said.append("There are too many callers for one picture, so each is drawn as its team.")
    if picture.callers_left:
        said.append(f"{counted(picture.callers_left, 'caller')} with fewer calls {are(picture.callers_left)} left out.")
    if picture.lines_left:
        said.append(f"{counted(picture.lines_left, 'quieter line')} {are(picture.lines_left)} left out.")
    if found.is_cut:
        said.append(f"Only {MOST_READ} grants were looked at.")
    return " ".join([*said, "Pick a service or a caller to see only what is around it."])


def counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def are(number: int) -> str:
    return "is" if number == 1 else "are"
