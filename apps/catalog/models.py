"""What there is to reach: services, what they do, where they answer, and whom they call."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Concat, Lower

from apps.compiler.connections import CONNECT, METHOD
from apps.compiler.graph import Point, Protocol
from apps.compiler.paths import METHODS, BadTemplateError, parse_template

SLUG = r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"
HOST = r"^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$"
BASE_PATH = r"^((/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*)$"
ROUTE_KEY = r"^[A-Za-z0-9][A-Za-z0-9._~-]{0,99}$"
VARIANT = r"^[a-z0-9]([a-z0-9-]{0,29}[a-z0-9])?$"
MOST_VARIANT = 40
"""Characters of a version with its port, and with its origin at the edge."""
SPIFFE_ID = r"^spiffe://[a-z0-9._-]{1,100}(/[A-Za-z0-9._-]+)+$"

DEFAULT_MAX_DURATION = 8 * 3600
LONGEST_MAX_DURATION = 366 * 24 * 3600

_slug = RegexValidator(SLUG, "Use lower-case letters, digits, - and _, at most 63 of them.")


def _search_text(*fields: str) -> models.GeneratedField:
    """What a search looks through, lower-cased and indexed by trigram."""
    spaced = [part for field in fields for part in (F(field), Value(" "))]
    return models.GeneratedField(
        expression=Lower(Concat(*spaced, output_field=models.TextField())),
        output_field=models.TextField(),
        db_persist=True,
        editable=False,
    )


class Sensitivity(models.TextChoices):
    OPEN = "open", "Open"
    INTERNAL = "internal", "Internal"
    SENSITIVE = "sensitive", "Sensitive"
    CRITICAL = "critical", "Critical"


class Door(models.TextChoices):
    """The compiler's points, as stored values."""

    EDGE = Point.EDGE.value, "Edge"
    MESH = Point.MESH.value, "Mesh"


class Spoken(models.TextChoices):
    """The compiler's protocols, as stored values."""

    HTTP = Protocol.HTTP.value, "HTTP"
    TCP = Protocol.TCP.value, "Plain TCP"


class Environment(models.Model):
    """A place where services run, with its own doors. The default one is meant when nobody names any."""

    slug = models.CharField(max_length=63, unique=True, validators=[_slug])
    name = models.CharField(max_length=100)
    is_default = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=Q(is_default=True), name="catalog_environment_one_default"
            ),
            models.CheckConstraint(condition=Q(slug__regex=SLUG), name="catalog_environment_slug_plain"),
        ]

    def __str__(self) -> str:
        return self.name


class Service(models.Model):
    """Something that can be called. ``slug`` is its id in every door; ``upstream_name`` what its authors call it."""

    slug = models.CharField(max_length=63, unique=True, validators=[_slug])
    title = models.CharField(max_length=200)
    description = models.TextField(default="", blank=True)
    upstream_name = models.CharField(max_length=100, default="", blank=True)
    team = models.ForeignKey("identity.Subject", models.PROTECT, related_name="owned_services")
    sensitivity = models.CharField(max_length=9, choices=Sensitivity, default=Sensitivity.INTERNAL)
    danger_note = models.CharField("danger, in the owner's words", max_length=500, default="", blank=True)
    max_duration = models.PositiveIntegerField(
        "longest access, in seconds",
        default=DEFAULT_MAX_DURATION,
        validators=[MinValueValidator(60), MaxValueValidator(LONGEST_MAX_DURATION)],
    )
    system = models.CharField(max_length=200, default="", blank=True)
    domain = models.CharField(max_length=200, default="", blank=True)
    lifecycle = models.CharField(max_length=50, default="", blank=True)
    created_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)
    search_text = _search_text("slug", "title", "upstream_name", "description", "system", "domain")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(slug__regex=SLUG), name="catalog_service_slug_plain"),
            models.CheckConstraint(
                condition=Q(sensitivity__in=Sensitivity.values), name="catalog_service_sensitivity_known"
            ),
            models.CheckConstraint(
                condition=Q(max_duration__gte=60, max_duration__lte=LONGEST_MAX_DURATION),
                name="catalog_service_max_duration_sane",
            ),
        ]
        indexes = [
            models.Index(fields=["team", "slug"], name="catalog_service_team"),
            GinIndex(fields=["search_text"], opclasses=["gin_trgm_ops"], name="catalog_service_search"),
        ]

    def __str__(self) -> str:
        return self.title


class Route(models.Model):
    """One thing a service does: methods on a path template. ``key`` is its id within the service and in the graph.

    A service of plain TCP has one, to connect: see ``compiler.connections``.
    """

    service = models.ForeignKey(Service, models.CASCADE, related_name="routes")
    key = models.CharField(max_length=100, validators=[RegexValidator(ROUTE_KEY)])
    methods = ArrayField(models.CharField(max_length=7))
    template = models.CharField(max_length=300)
    summary = models.CharField(max_length=300, default="", blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    search_text = _search_text("key", "template", "summary")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["service", "key"], name="catalog_route_key_once"),
            models.CheckConstraint(condition=Q(key__regex=ROUTE_KEY), name="catalog_route_key_plain"),
            models.CheckConstraint(condition=Q(template__startswith="/"), name="catalog_route_template_rooted"),
            models.CheckConstraint(
                condition=Q(methods__contained_by=list(METHODS), methods__len__gt=0) | Q(key=CONNECT, methods=[METHOD]),
                name="catalog_route_methods_known",
            ),
        ]
        indexes = [GinIndex(fields=["search_text"], opclasses=["gin_trgm_ops"], name="catalog_route_search")]

    def __str__(self) -> str:
        return f"{'|'.join(self.methods)} {self.template}"

    def clean(self) -> None:
        """A template means what the compiler says it means, or it is not stored."""
        try:
            parse_template(self.template)
        except BadTemplateError as error:
            raise ValidationError({"template": str(error)}) from error


_EDGE_WHOLE = Q(
    point="edge",
    host__regex=HOST,
    base_path__regex=BASE_PATH,
    workload=None,
    port=None,
    upstream_port=None,
    protocol="http",
)
_MESH_WHOLE = Q(
    point="mesh",
    host="",
    base_path="",
    workload__isnull=False,
    port__isnull=False,
    port__range=(1, 65535),
    upstream_port__isnull=False,
    upstream_port__range=(1, 65535),
    protocol="http",
)
_TCP_WHOLE = Q(
    point="mesh",
    host="",
    base_path="",
    workload__isnull=False,
    port=None,
    upstream_port__isnull=False,
    upstream_port__range=(1, 65535),
    protocol="tcp",
    variants=[],
)


class Exposure(models.Model):
    """Where a service answers: an address at the edge, or a workload and its ports in the mesh.

    ``variants`` are other versions behind the same sidecar, each as ``name:port``, or as
    ``name:port@origin`` where the edge finds it at an origin of its own. Plain TCP is for the mesh alone, without a
    sidecar of ours, so there is only the application's port.
    """

    service = models.ForeignKey(Service, models.CASCADE, related_name="exposures")
    environment = models.ForeignKey(Environment, models.PROTECT, related_name="exposures")
    point = models.CharField(max_length=4, choices=Door)
    host = models.CharField(max_length=253, default="", blank=True, validators=[RegexValidator(HOST)])
    base_path = models.CharField(max_length=200, default="", blank=True, validators=[RegexValidator(BASE_PATH)])
    namespace = models.CharField(max_length=63, default="", blank=True)
    workload = models.ForeignKey("identity.Subject", models.PROTECT, null=True, blank=True, related_name="exposures")
    port = models.PositiveIntegerField(null=True, blank=True)
    upstream_port = models.PositiveIntegerField(null=True, blank=True)
    protocol = models.CharField(max_length=4, choices=Spoken, default=Spoken.HTTP)
    variants = ArrayField(models.CharField(max_length=MOST_VARIANT), default=list, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["service", "environment", "point"], name="catalog_exposure_one_per_door"),
            models.UniqueConstraint(
                fields=["environment", "host", "base_path"], condition=Q(point="edge"), name="catalog_exposure_address"
            ),
            models.UniqueConstraint(
                fields=["environment", "port"], condition=Q(point="mesh"), name="catalog_exposure_port"
            ),
            models.UniqueConstraint(
                fields=["environment", "workload"], condition=Q(point="mesh"), name="catalog_exposure_workload"
            ),
            models.CheckConstraint(
                condition=_EDGE_WHOLE | _MESH_WHOLE | _TCP_WHOLE,
                name="catalog_exposure_whole",
            ),
            models.CheckConstraint(condition=Q(point="mesh") | Q(variants=[]), name="catalog_exposure_variants_inside"),
        ]

    def __str__(self) -> str:
        return f"{self.service_id} {self.point}"


class Dependency(models.Model):
    """``caller`` calls ``callee``. ``routes`` are the keys of the callee's routes it needs; empty means all of them."""

    caller = models.ForeignKey(Service, models.CASCADE, related_name="calls")
    callee = models.ForeignKey(Service, models.CASCADE, related_name="called_by")
    routes = ArrayField(models.CharField(max_length=100), default=list, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["caller", "callee"], name="catalog_dependency_once"),
            models.CheckConstraint(condition=~Q(caller=F("callee")), name="catalog_dependency_not_on_itself"),
        ]

    def __str__(self) -> str:
        return f"{self.caller_id} calls {self.callee_id}"


class ImportRun(models.Model):
    """One applied import: what it changed, in words, and who ran it."""

    source = models.CharField(max_length=200)
    digest = models.CharField(max_length=64)
    actor_id = models.CharField(max_length=300)
    actor_name = models.CharField(max_length=200)
    at = models.DateTimeField()
    changes = models.JSONField(default=list)

    class Meta:
        indexes = [models.Index(fields=["-at", "-id"], name="catalog_importrun_recent")]

    def __str__(self) -> str:
        return f"{self.source} at {self.at:%Y-%m-%d %H:%M}"


class ImportedItem(models.Model):
    """That a source spoke of something once, so that its silence can be noticed. ``ref`` names it, see ``estate``."""

    source = models.CharField(max_length=200)
    ref = models.CharField(max_length=400)
    last_run = models.ForeignKey(ImportRun, models.CASCADE, related_name="items")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "ref"], name="catalog_importeditem_once")]

    def __str__(self) -> str:
        return f"{self.ref} from {self.source}"
