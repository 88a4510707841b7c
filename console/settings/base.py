"""Settings shared by every way of running the console. Values that differ by place come from the environment."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from csp.constants import NONCE, NONE, SELF

from console import env

BASE_DIR = Path(__file__).resolve().parents[2]


def database(url: str) -> dict[str, object]:
    """Django's database settings from ``postgres://user:password@host:port/name?option=value``."""
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "OPTIONS": {"connect_timeout": 5, **dict(parse_qsl(parts.query)), **_pool()},
        "CONN_MAX_AGE": 0 if _pool() else env.read_int("SALLYPORT_DB_CONN_MAX_AGE", 600),
        "CONN_HEALTH_CHECKS": True,
    }


def _pool() -> dict[str, object]:
    """Threaded servers (ASGI, a threads worker) share a pool; a connection per thread would never be closed."""
    size = env.read_int("SALLYPORT_DB_POOL", 0)
    return {"pool": {"min_size": 1, "max_size": size, "timeout": 10}} if size else {}


SALLYPORT_URL = env.read("SALLYPORT_URL", "http://127.0.0.1:8000").rstrip("/")
SALLYPORT_DEMO = env.read_bool("SALLYPORT_DEMO", default=False)
# A Fernet key; private keys and vendor credentials are encrypted at rest with it.
SALLYPORT_SECRETS_KEY = env.read("SALLYPORT_SECRETS_KEY", "")
SALLYPORT_MESH_ID = env.read("SALLYPORT_MESH_ID", "shop")
SALLYPORT_TRUST_DOMAIN = env.read("SALLYPORT_TRUST_DOMAIN", "shop.test")
SALLYPORT_EDGE_AUDIENCE = "sallyport-edge"
SALLYPORT_EDGE_TOKEN_SECONDS = 300
# How many edge tokens one subject may take within a minute.
SALLYPORT_TOKENS_PER_MINUTE = env.read_int("SALLYPORT_TOKENS_PER_MINUTE", 120)
# The widest blocks of addresses that can be asked for at once, as prefix lengths.
SALLYPORT_ADDRESS_WIDEST_V4 = env.read_int("SALLYPORT_ADDRESS_WIDEST_V4", 24)
SALLYPORT_ADDRESS_WIDEST_V6 = env.read_int("SALLYPORT_ADDRESS_WIDEST_V6", 48)
# Regions whose STS may be asked who signed a GetCallerIdentity request; none: such proofs are off.
SALLYPORT_AWS_REGIONS = env.read_list("SALLYPORT_AWS_REGIONS")
# Dialled instead of sts.<region>.amazonaws.com: an interface endpoint of a VPC, or a stand-in under test.
SALLYPORT_AWS_STS_URL = env.read("SALLYPORT_AWS_STS_URL", "")
# Roles (ARNs) to take, one for each account whose roles and users are copied every hour; "own" is the console's own.
SALLYPORT_AWS_SYNC_ROLES = env.read_list("SALLYPORT_AWS_SYNC_ROLES")
# Issuers and AWS without TLS: on the loopback of a laptop or a test only.
SALLYPORT_PLAIN_HTTP = False
# Where callers find an edge host: in the commands that pages offer, and for browsers that come back from signing in.
SALLYPORT_EDGE_URL = env.read(
    "SALLYPORT_EDGE_URL",
    f"http://{{host}}:{env.read_int('SALLYPORT_EDGE_PORT', 8080)}" if SALLYPORT_DEMO else "https://{host}",
)

SECRET_KEY = env.read("SALLYPORT_SECRET_KEY", "")
DEBUG = False
ALLOWED_HOSTS = env.read_list("SALLYPORT_ALLOWED_HOSTS", "127.0.0.1,localhost")
CSRF_TRUSTED_ORIGINS = [SALLYPORT_URL]

INSTALLED_APPS = [
    "apps.identity.admin_site.OperatorsAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "template_partials",
    "django_htmx",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "mozilla_django_oidc",
    "apps.audit",
    "apps.outbox",
    "apps.identity",
    "apps.catalog",
    "apps.access",
    "apps.trust",
    "apps.rollout",
    "apps.telemetry",
    "apps.firewall",
    "console",
]

MIDDLEWARE = [
    "console.middleware.HealthMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.identity.middleware.SubjectMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "console.middleware.NoStoreMiddleware",
    "console.middleware.SignInMiddleware",
    "console.middleware.RefusalMiddleware",
    "console.middleware.FragmentMiddleware",
]

ROOT_URLCONF = "console.urls"
ASGI_APPLICATION = "console.asgi.application"
WSGI_APPLICATION = "console.wsgi.application"

TEMPLATES_FROM = ["console.lean_templates.Loader", "django.template.loaders.app_directories.Loader"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                ("template_partials.loader.Loader", [("django.template.loaders.cached.Loader", TEMPLATES_FROM)])
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "console.context.page",
            ],
        },
    }
]

DATABASES = {"default": database(env.read("DATABASE_URL", "postgres://sallyport@127.0.0.1:5442/sallyport"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "identity.User"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
CSRF_FAILURE_VIEW = "console.errors.csrf_failure"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = Path(env.read("SALLYPORT_STATIC_ROOT", str(BASE_DIR / "staticfiles")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

REDIS_URL = env.read("REDIS_URL", "redis://127.0.0.1:6389/0")
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_NAME = "sallyport_session"
SESSION_COOKIE_AGE = 8 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = False
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "manifest-src": [SELF],
    }
}

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "console.openapi.Operation",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["console.parsers.Json"],
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.identity.authentication.BearerTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "apps.identity.authentication.TokenScope",
    ],
    "UNAUTHENTICATED_USER": None,
    "EXCEPTION_HANDLER": "console.problems.handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Sallyport",
    "DESCRIPTION": "Ask for access, approve it, watch it become true at both doors.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "PointEnum": "apps.access.models.Point",
        "RequestStateEnum": "apps.access.states.RequestState",
        "GrantStateEnum": "apps.access.states.GrantState",
        "DoorStateEnum": "apps.access.states.DoorState",
        "SubjectStateEnum": "apps.identity.models.SubjectState",
        "MessageStateEnum": "apps.outbox.models.State",
        "ActivationStateEnum": "apps.rollout.states.ActivationState",
        "ProbeStateEnum": "apps.rollout.states.ProbeState",
        "ReviewVerdictEnum": "apps.access.models.Verdict",
        "SubjectKindEnum": "apps.identity.models.Kind",
        "ConsoleRoleEnum": "apps.identity.models.Role",
        "MembershipRoleEnum": "apps.identity.models.MembershipRole",
        "ScopeEnum": "apps.identity.models.Scope",
        "ProofKindEnum": "apps.identity.models.ProofKind",
        "IssuerKindEnum": "apps.identity.models.IssuerKind",
        "ChangeKindEnum": "apps.catalog.api.CHANGE_KINDS",
        "CallVerdictEnum": "apps.telemetry.api.VERDICTS",
        "ZoneVerdictEnum": "apps.firewall.models.Verdict",
        "AccessControlEnum": "apps.rollout.cluster.settings.ACCESS_CONTROL",
        "HopVerdictEnum": "apps.firewall.api_schemas.SAYS",
    },
}

# The broker carries nudges only: every task may be lost or run twice without harm.
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_TIME_LIMIT = 120
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 300, "socket_timeout": 5, "socket_connect_timeout": 2}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_DB_REUSE_MAX = 1000
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"

# How old a sign-in at a provider may be for approving access to sensitive services.
SALLYPORT_STEP_UP_SECONDS = env.read_int("SALLYPORT_STEP_UP_SECONDS", 900)
# A change of groups or rules that takes something from a larger share of those who hold anything waits for a person.
SALLYPORT_MAPPING_MAX_LOSS_PERCENT = env.read_int("SALLYPORT_MAPPING_MAX_LOSS_PERCENT", 20)
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.read("SALLYPORT_LOG_LEVEL", "INFO")},
    # The vendor library logs its signing key at DEBUG, an HTTP library each call, and headers with tokens at DEBUG.
    "loggers": {name: {"level": "WARNING"} for name in ("akamai.edgegrid", "urllib3", "httpx2", "httpcore2")},
}
