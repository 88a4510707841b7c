"""The components a page is built of, as tags. What they show is in ``templates/components``; here is what they need."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Protocol
from zlib import crc32

from django import template
from django.forms import BoundField
from django.urls import reverse
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString

from apps.compiler.connections import METHOD
from console import sections
from console.words import (
    DOOR_STATES,
    READS,
    RISKS,
    RULE_STATES,
    STATES,
    brief_name,
    door_sentence,
    initials,
    span_words,
)

if TYPE_CHECKING:
    from apps.identity.models import Subject

register = template.Library()


class Named(Protocol):
    """Anything with a kind and a shown name: a subject of any app, or one known only by its key."""

    kind: str
    name: str


@register.simple_tag
def icon(name: str) -> SafeString:
    return format_html('<svg class="icon" aria-hidden="true"><use href="#i-{}"/></svg>', name)


@register.simple_tag
def mark(who: Named) -> SafeString:
    """The shape alone: round for people, stacked for teams, square for agents, six-sided for workloads."""
    hue = crc32(who.name.encode()) % 8
    return format_html('<i class="mark {} h{}" data-i="{}"></i>', who.kind, hue, initials(who.name, who.kind))


_SHAPES = {
    "person": '<circle cx="12" cy="22" r="11"/>',
    "team": '<rect class="behind" x="5" y="10" width="19" height="19" rx="6"/>'
    '<rect x="2" y="13" width="19" height="19" rx="6"/>',
    "agent": '<rect x="2" y="12" width="20" height="20" rx="2"/>',
    "workload": '<path d="M6 12h12l6 10-6 10H6L0 22Z"/>',
}


@register.simple_tag
def shape(who: Named) -> SafeString:
    """The same within a drawing, in the left of a place 44 high."""
    drawn = SafeString(_SHAPES.get(who.kind, _SHAPES["person"]))
    hue, letters = crc32(who.name.encode()) % 8, "?" if who.kind == "system" else initials(who.name, who.kind)
    x = 11.5 if who.kind == "team" else 12
    return format_html(
        '<g class="shape {} h{}">{}<text x="{}" y="25.5">{}</text></g>', who.kind, hue, drawn, x, letters
    )


@register.simple_tag
def named(who: Named, x: int, y: float, most: int) -> SafeString:
    """A name within a drawing, cut where it would be longer than its place; the whole is told on hover."""
    name = brief_name(who.name, who.kind)
    if len(name) <= most:
        return format_html('<text x="{}" y="{}">{}</text>', x, y, name)
    short = f"{name[: most - 1].rstrip()}…"
    return format_html('<title>{}</title><text x="{}" y="{}">{}</text>', name, x, y, short)


@register.simple_tag
def who(subject: Named | None, url: str = "") -> SafeString:
    """Mark and name. The kind is said to those who cannot see the shape, except for people."""
    if subject is None:
        return format_html('<span class="faint">{}</span>', "nobody")
    kind = "" if subject.kind == "person" else format_html('<span class="vh">{} </span>', subject.kind)
    name = brief_name(subject.name, subject.kind)
    shown = format_html('<a href="{}">{}</a>', url, name) if url else format_html("{}", name)
    return format_html('<span class="who">{}{}{}</span>', mark(subject), kind, shown)


@register.simple_tag
def method(name: str) -> SafeString:
    tone = "" if name in READS else " removes" if name == "DELETE" else " writes"
    return format_html('<span class="method{}">{}</span>', tone, name)


@register.simple_tag
def path(template_text: str) -> SafeString:
    """A path template with its parameters dimmed."""
    if "{" not in template_text:
        return format_html("{}", template_text)
    parts = (_parameter(part) if part.startswith("{") else part for part in template_text.split("/"))
    return format_html_join("/", "{}", ((part,) for part in parts))


def _parameter(name: str) -> SafeString:
    return format_html('<span class="param">{}</span>', name)


@register.simple_tag
def route(methods: Iterable[str], template_text: str) -> SafeString:
    """Chips and the path; of plain TCP its port."""
    if METHOD in methods:
        return format_html(
            '<span class="route"><span class="method writes">TCP</span> <span>port {}</span></span>', template_text[1:]
        )
    chips = format_html_join(" ", "{}", ((method(name),) for name in sorted(methods)))
    return format_html('<span class="route">{} <span>{}</span></span>', chips, path(template_text))


@register.simple_tag
def doors(edge: str, mesh: str, label: str | None = None) -> SafeString:
    """The two arches, small. An empty state draws a door that is no part of this. ``label`` replaces the words."""
    said = door_sentence(edge, mesh) if label is None else label
    drawn = (edge or "unused", edge or "unused", mesh or "unused", mesh or "unused")
    uses = format_html('<use class="s-{}" href="#d-{}"/><use class="s-{}" href="#d-{}" x="19"/>', *drawn)
    if not said:
        return format_html('<svg class="doors" aria-hidden="true">{}</svg>', uses)
    return format_html('<svg class="doors" role="img"><title>{}</title>{}</svg>', said, uses)


@register.simple_tag
def arch(state: str, size: str = "") -> SafeString:
    """One door. ``size`` is empty, "big" or "huge"; the words stand beside it, not in it."""
    name = state or "unused"
    return format_html(
        '<svg class="arch {}" viewBox="0 0 16 18" aria-hidden="true"><use class="s-{}" href="#d-{}"/></svg>',
        size,
        name,
        name,
    )


@register.inclusion_tag("components/door_card.html")
def door_card(
    point: str, state: str, since: datetime | None = None, how: str = "", *, of_rule: bool = False
) -> dict[str, object]:
    """One door at length: which, what, since when, and how we know; of access, or of a traffic rule."""
    words = (RULE_STATES if of_rule else DOOR_STATES)[state]
    return {"point": point, "state": state, "words": words, "since": since, "how": how}


@register.simple_tag
def state(code: str, label: str = "") -> SafeString:
    """A state in shape and word. ``label`` replaces the usual word."""
    words = STATES[code]
    return format_html('<span class="state tone-{}">{} {}</span>', words.tone, icon(words.icon), label or words.label)


@register.simple_tag
def when(moment: datetime | None, style: str = "ago") -> SafeString:
    """A moment: relative with the exact time on hover ("ago"), "clock", or "full". Without a script: UTC, named.

    A list of clocks says so once, on whatever surrounds it (``data-times``), and not on each.
    """
    if moment is None:
        return format_html('<span class="faint">{}</span>', "never")
    text = f"{moment:%H:%M:%S} UTC" if style == "clock" else f"{moment:%-d %b %Y, %H:%M} UTC"
    said = format_html(' data-as="{}"', style) if style == "full" else ""
    return format_html('<time datetime="{}"{}>{}</time>', f"{moment:%Y-%m-%dT%H:%M:%SZ}", said, text)


@register.simple_tag
def settings_groups(tab: str, viewer: Subject) -> list[sections.Group]:
    """The groups of the settings that ``viewer`` may open, with the section shown marked in its own."""
    return sections.groups(tab, viewer)


@register.filter
def span(seconds: float | None) -> str:
    """A length of time in words; None is standing access."""
    return span_words(seconds)


_IDS = re.compile(r"\b(g|req)_[0-9a-f]{16}\b")
_NAMED = {"g": ("grant", "this access"), "req": ("request", "this request")}


@register.filter
def linked(sentence: str) -> SafeString:
    """A sentence of ours with what it names by id as a link in words: nobody reads an id."""
    parts, last = [], 0
    for found in _IDS.finditer(sentence):
        page, words = _NAMED[found[1]]
        shown = words.capitalize() if found.start() == 0 else words
        link = format_html('<a href="{}" title="{}">{}</a>', reverse(page, args=[found[0]]), found[0], shown)
        parts += [conditional_escape(sentence[last : found.start()]), link]
        last = found.end()
    return format_html_join("", "{}", ((part,) for part in [*parts, conditional_escape(sentence[last:])]))


@register.filter
def took(milliseconds: float) -> str:
    """How long a machine took: ``375`` is "375 ms", ``5707`` is "5.7 s"."""
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


@register.filter
def first_word(text: str) -> str:
    return text.split(" ", 1)[0]


@register.inclusion_tag("components/risk.html")
def risk(level: str, causes: Iterable[str]) -> dict[str, object]:
    return {"risk": RISKS[level], "causes": causes}


@register.inclusion_tag("components/empty.html")
def empty(title: str, text: str, url: str = "", action: str = "") -> dict[str, object]:
    """What to do when there is nothing yet: a title, a sentence that teaches, one way on."""
    return {"title": title, "text": text, "url": url, "action": action}


@register.inclusion_tag("components/field.html")
def field(bound: BoundField) -> dict[str, object]:
    """A labelled input with its hint and its complaints."""
    return {"field": bound}


@register.inclusion_tag("components/take.html")
def take(text: str, name: str) -> dict[str, object]:
    """Code to take away. ``name`` says what the copy button copies."""
    return {"text": text, "name": name}


@register.inclusion_tag("components/raw_diff.html")
def raw_diff(text: str, name: str, how: str = "", path: str = "") -> dict[str, object]:
    """Unified diff text behind one click, unless ``how`` is "open"; ``name`` keeps it open across refreshes.

    ``path`` is what differs, where several stand below each other; then how much differs is said beside it.
    """
    kinds = [(_line_kind(line), line) for line in text.splitlines()]
    return {
        "lines": [(kind, "\n".join(line for _, line in run)) for kind, run in groupby(kinds, key=lambda one: one[0])],
        "name": name,
        "path": path,
        "added": sum(kind == "add" for kind, _ in kinds),
        "removed": sum(kind == "del" for kind, _ in kinds),
        "folded": how != "open",
    }


def _line_kind(line: str) -> str:
    if line.startswith(("+++", "---")):
        return "file"
    return {"+": "add", "-": "del", "@": "at"}.get(line[:1], "")
