"""Addresses of pages: what people open."""

from __future__ import annotations

from django.urls import include, path

from apps.access.views import addresses, asking, events, governance, grants, inbox
from apps.access.views import asking, events, governance, grants, inbox
from apps.access.views import traffic as asking_traffic
from apps.catalog import views as catalog
from apps.rollout import akamai_views as akamai
from apps.rollout import list_views as lists
from apps.rollout import export_views as export
from apps.rollout import place_views, release_views
from apps.rollout import origin_certificate_views as certs
from apps.rollout import property_views as prop
from apps.rollout import views as rollout
from apps.telemetry import views as live
from apps.trust import views as trust
from console.pages import (
    access,
    audit,
    change,
    edge_log,
    frame,
    home,
    leaving,
    mapping,
    outbox,
    requests,
    search,
    service,
    signals,
    subject,
    traffic,
)

urlpatterns = [
    path("", home.home, name="home"),
    path("search", search.search, name="search"),
    path("theme/", frame.theme, name="theme"),
    path("edge/sign-in", trust.edge_sign_in, name="edge_sign_in"),
    path("docs/reasons", frame.reasons, name="reasons"),
    path("catalogue/", catalog.catalogue, name="catalogue"),
    path("catalogue/import/", catalog.import_catalogue, name="import"),
    path("catalogue/<slug:slug>/", service.show, name="service"),
    path("catalogue/<slug:slug>/around/", service.around, name="service_around"),
    path("catalogue/<slug:slug>/traffic/", traffic.show, name="service_traffic"),
    path("requests/", inbox.requests, name="requests"),
    path("requests/waiting", inbox.waiting, name="waiting"),
    path("requests/decide", inbox.decide, name="decide"),
    path("requests/new", asking.request_new, name="request_new"),
    path("requests/new/addresses", addresses.request_addresses, name="request_addresses"),
    path("requests/traffic", asking_traffic.traffic_new, name="traffic_new"),
    path("requests/<slug:public_id>/", requests.show, name="request"),
    path("requests/<slug:public_id>/change/", change.show, name="request_change"),
    path("requests/<slug:public_id>/review", requests.review, name="request_review"),
    path("requests/<slug:public_id>/cancel", requests.cancel, name="request_cancel"),
    path("requests/<slug:public_id>/events", events.request_events, name="request_events"),
    path("access/", access.access, name="access"),
    path("access/<slug:public_id>/", grants.show, name="grant"),
    path("access/<slug:public_id>/end", grants.end, name="grant_end"),
    path("live/", live.live, name="live"),
    path("live/<slug:rid>/", live.call, name="call"),
    path("live/<slug:rid>/ask", live.ask, name="call_ask"),
    path("rollout/", rollout.rollout, name="rollout"),
    path("rollout/<slug:slug>/", rollout.show, name="target"),
    path("rollout/<slug:slug>/events", rollout.events, name="target_events"),
    path("rollout/<slug:slug>/approve", release_views.approve, name="target_approve"),
    path("rollout/<slug:slug>/stop", release_views.stop, name="target_stop"),
    path("rollout/<slug:slug>/try-again", release_views.try_again, name="target_try_again"),
    path("rollout/<slug:slug>/production", release_views.production, name="target_production"),
    path("rollout/<slug:slug>/place", place_views.choose, name="target_place"),
    path("rollout/<slug:slug>/releases/", release_views.releases, name="target_releases"),
    path("rollout/<slug:slug>/releases/events", release_views.events, name="target_releases_events"),
    path("rollout/<slug:slug>/look", rollout.look, name="target_look"),
    path("rollout/<slug:slug>/connect", akamai.connect, name="target_connect"),
    path("rollout/<slug:slug>/export/", export.export, name="target_export"),
    path("rollout/<slug:slug>/export.zip", export.download, name="target_export_file"),
    path("rollout/<slug:slug>/preflight/", akamai.preflight, name="target_preflight"),
    path("rollout/<slug:slug>/preflight/events", akamai.preflight_events, name="target_preflight_events"),
    path("rollout/<slug:slug>/property/", prop.properties, name="target_property"),
    path("rollout/<slug:slug>/property/events", prop.events, name="target_property_events"),
    path("rollout/<slug:slug>/property/<int:change_id>/agree", prop.agree, name="target_property_agree"),
    path("rollout/<slug:slug>/property/<int:change_id>/accept", prop.accept, name="target_property_accept"),
    path("rollout/<slug:slug>/property/<int:change_id>/drop", prop.drop, name="target_property_drop"),
    path("rollout/<slug:slug>/lists/<int:list_id>/put-back", lists.put_back, name="list_put_back"),
    path("rollout/<slug:slug>/log/", edge_log.stream, name="target_stream"),
    path("rollout/<slug:slug>/log/events", edge_log.events, name="target_stream_events"),
    path("rollout/<slug:slug>/log/renew-secret", edge_log.renew_secret, name="target_stream_renew"),
    path("rollout/<slug:slug>/log/end-secret", edge_log.end_secret, name="target_stream_end_secret"),
    path("rollout/<slug:slug>/log/stop", edge_log.stop, name="target_stream_stop"),
    path("rollout/<slug:slug>/certificate/", certs.certificate, name="target_certificate"),
    path("rollout/<slug:slug>/certificate/events", certs.events, name="target_certificate_events"),
    path("rollout/<slug:slug>/certificate/renew", certs.renew, name="target_certificate_renew"),
    path("rollout/<slug:slug>/certificate/plan", certs.plan_again, name="target_certificate_plan"),
    path("rollout/<slug:slug>/drift/<int:drift_id>/put-back", rollout.put_back, name="drift_put_back"),
    path("rollout/<slug:slug>/drift/<int:drift_id>/adopt", rollout.adopt, name="drift_adopt"),
    path("rollout/<slug:slug>/revisions/<int:number>/", rollout.revision, name="revision"),
    path("rollout/<slug:slug>/revisions/<int:number>/export.zip", export.download_revision, name="revision_export"),
    path("rollout/<slug:slug>/revisions/<int:number>/roll-back", rollout.roll_back, name="revision_roll_back"),
    path("audit/", audit.audit, name="audit"),
    path("audit/<int:seq>/", audit.event, name="audit_event"),
    path("audit/verify", audit.verify, name="audit_verify"),
    path("audit/tamper", audit.tamper, name="audit_tamper"),
    path("audit/export.<slug:form>", audit.export, name="audit_export"),
    path("settings/", frame.settings_home, name="settings"),
    path("settings/gallery/", frame.show_gallery, name="gallery"),
    path("settings/rules/", governance.rules, name="rules"),
    path("settings/hosts/", addresses.hosts, name="hosts"),
    path("settings/guardrails/", governance.guardrails, name="guardrails"),
    path("settings/signals/", signals.signals, name="signals"),
    path("settings/outbox/", outbox.outbox, name="outbox"),
    path("settings/outbox/<int:message_id>/retry", outbox.retry, name="outbox_retry"),
    path("settings/directory/<slug:slug>/rules/", mapping.mapping, name="mapping"),
    path("settings/directory/<slug:slug>/rules/<int:rule_id>/remove", mapping.remove, name="mapping_remove"),
    path("settings/directory/pending/<int:pending_id>/confirm", mapping.confirm, name="mapping_confirm"),
    path("settings/directory/pending/<int:pending_id>/discard", mapping.discard, name="mapping_discard"),
    path("", include("apps.identity.urls")),
    path("settings/who/<path:key>/sign-out-everywhere", leaving.sign_out, name="sessions_end"),
    path("settings/who/<path:key>/left", leaving.left, name="subject_left"),
    path("settings/who/<path:key>/", subject.show, name="subject"),
]
