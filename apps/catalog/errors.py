"""What the catalogue refuses."""

from __future__ import annotations

from apps.audit.errors import InvalidInput, NotFound


class UnknownService(NotFound):
    code = "unknown_service"
    default_message = "There is no such service in the catalogue."


class UnknownEnvironment(NotFound):
    code = "unknown_environment"
    default_message = "There is no such environment."


class UnknownRoute(InvalidInput):
    code = "unknown_route"
    default_message = "The service has no such route."


class ImportRefused(InvalidInput):
    """For whoever asks through the API; ``extra`` lists every problem with its place in the file."""

    code = "import_refused"
    default_message = "The file has problems, so nothing was imported."
