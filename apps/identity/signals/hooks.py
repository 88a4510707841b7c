"""Where Okta's event hooks arrive. Stored and answered within 200 ms; acted on right after."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from apps.audit.errors import NotFound, Refusal
from apps.identity import senders, services
from apps.identity.models import SignalChannel
from apps.identity.signals.okta import read_events
from apps.identity.signals.reading import bearer_of, problem, read_body, read_object
from apps.identity.signals.refusals import BadSignal

CHALLENGE = "x-okta-verification-challenge"
MOST_BYTES = 2 * 1024 * 1024


@csrf_exempt
@login_not_required
@require_http_methods(["GET", "POST"])
def okta_events(request: HttpRequest, slug: str) -> HttpResponse:
    """GET once, when the hook is verified; POST for every delivery. 204: Okta wants no body, and soon."""
    try:
        return _challenge(request, slug) if request.method == "GET" else _deliver(request, slug)
    except Refusal as refusal:
        return problem(refusal)


def _challenge(request: HttpRequest, slug: str) -> HttpResponse:
    """Say back what Okta says. It proves who runs this address, and gives away nothing."""
    if not senders.has_provider(slug):
        raise NotFound
    said = request.headers.get(CHALLENGE, "")
    if not 0 < len(said) <= 500 or not said.isprintable():
        raise BadSignal(f"This address verifies event hooks: the header {CHALLENGE} is missing.")
    return JsonResponse({"verification": said})


def _deliver(request: HttpRequest, slug: str) -> HttpResponse:
    at = timezone.now()  # noqa: TID251 - an interface
    provider = services.provider_of_hook(slug=slug, shown=bearer_of(request), at=at)
    told = read_events(read_object(read_body(request, most=MOST_BYTES)), issuer=provider.issuer)
    services.receive(provider=provider, channel=SignalChannel.EVENT_HOOK, told=told, at=at)
    return HttpResponse(status=204)
