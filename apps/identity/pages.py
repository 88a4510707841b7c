"""What the pages of every app may count on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.forms import BaseForm
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.middleware import HtmxDetails

from apps.audit.errors import NotAllowed, Refusal
from apps.identity import selectors
from apps.identity.models import Subject


class PageRequest(HttpRequest):
    """A request of somebody signed in: the console's middleware lets no other one reach a page."""

    subject: Subject
    htmx: HtmxDetails


class RoleNeeded(NotAllowed):
    code = "role_needed"


def require_role(request: PageRequest, *roles: str) -> None:
    """Raises RoleNeeded unless whoever is signed in holds one of ``roles``."""
    if not selectors.has_role(request.subject, *roles):
        raise RoleNeeded(f"This page is for people with the role {one_of(roles)}.")


def one_of(names: Sequence[str]) -> str:
    """``a, b or c``."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


PAGE_SIZE = 50


def asked_text(request: HttpRequest, name: str) -> str:
    """A filter from the address: trimmed, bounded, without the one character PostgreSQL refuses."""
    return request.GET.get(name, "").replace("\x00", "").strip()[:200]


def is_ours(request: HttpRequest, address: str) -> bool:
    """Whether ``address``, as a form or a browser names it, is a page of ours to go on to.

    A bare word is none: ``redirect()`` would take it for the name of a page.
    """
    safe = url_has_allowed_host_and_scheme(address, {request.get_host()}, require_https=request.is_secure())
    return "/" in address and safe


def complain(form: BaseForm, refusal: Refusal) -> None:
    """What a service refused, beside the fields it is about; what belongs to none of the form's stands above them."""
    if not refusal.fields:
        form.add_error(None, refusal.message)
    for name, complaints in refusal.fields.items():
        form.add_error(name if name in form.fields else None, complaints)


@contextmanager
def complaints_on(form: BaseForm) -> Iterator[None]:
    """A refusal ends the block, and the form is no longer valid: it says why."""
    try:
        yield
    except Refusal as refusal:
        complain(form, refusal)
