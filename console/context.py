"""What the frame of every page needs."""

from __future__ import annotations

from functools import cache

from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static

from console.navigation import places

STYLE_SHEETS = (
    "css/tokens.css",
    "css/base.css",
    "css/components.css",
    "css/lists.css",
    "css/doors.css",
    "css/forms.css",
)
SCRIPTS = (
    "django_htmx/htmx-2.min.js",
    "js/times.js",
    "js/live.js",
    "js/keys.js",
    "js/palette.js",
    "js/copy.js",
)
THEMES = ("light", "auto", "dark")
THEME_COOKIE = "sallyport_theme"


def page(request: HttpRequest) -> dict[str, object]:
    """Nothing here asks the database: what waits for whoever looks is fetched by the page itself."""
    chosen = request.COOKIES.get(THEME_COOKIE, "auto")
    context: dict[str, object] = {
        "theme": chosen if chosen in THEMES else "auto",
        "style_sheets": links(STYLE_SHEETS),
        "scripts": links(SCRIPTS),
        "demo": settings.SALLYPORT_DEMO,
    }
    if getattr(request, "subject", None) is not None:
        context["places"] = places(request.path)
    return context


@cache
def links(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(static(name) for name in names)
