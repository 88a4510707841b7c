"""What telemetry refuses."""

from __future__ import annotations

from apps.audit.errors import InvalidInput, NotAllowed, NotFound


class UnknownSource(NotAllowed):
    """One answer for no token, an unknown one and a revoked one."""

    code = "unknown_source"
    status = 401
    default_message = "The ingest token is missing, unknown or revoked."


class BatchTooLarge(InvalidInput):
    code = "batch_too_large"
    status = 413
    default_message = "Send fewer events at once."


class UnreadableBatch(InvalidInput):
    code = "unreadable_batch"
    status = 400
    default_message = "Send one JSON object a line, or one JSON array of them, gzipped or not."


class UnknownCall(NotFound):
    code = "unknown_call"
    default_message = "There is no such call, or you may not see it."


class UnknownSourceName(NotFound):
    code = "unknown_source_name"
    default_message = "There is no log shipper of this name."
