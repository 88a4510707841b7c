"""The OpenAPI document says of each operation not only what it answers but also how it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry

from console.problems import MEDIA_TYPE, Problem

REFUSALS = {
    400: "What was sent cannot be read",
    401: "Nobody is signed in, or the API token is unknown, expired or revoked",
    403: "You may not do this",
    404: "There is no such thing, or you may not see it",
    405: "What stands at this address is not asked for so",
    406: "Only JSON is answered here",
    409: "The state of things does not allow it",
    413: "Too much was sent",
    415: "What was sent is of another kind than expected",
    422: "What was sent makes no sense, or a rule forbids it",
}


class Operation(AutoSchema):
    def get_tags(self) -> list[str]:
        """Operations are grouped by the app they stand in, where they name no other group."""
        return [type(self.view).__module__.split(".")[1]]

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> dict[str, Any] | None:
        operation = super().get_operation(path, path_regex, path_prefix, method, registry)
        if operation is None:
            return None
        body = {MEDIA_TYPE: {"schema": self.resolve_serializer(Problem, "response").ref}}
        for status in refusals(operation, method):
            answer = {"description": REFUSALS[status], "content": body}
            operation["responses"].setdefault(str(status), answer)
        return dict(operation)


def refusals(operation: dict[str, Any], method: str) -> Iterator[int]:
    """Reading may fail for what is asked and who asks; writing also for what is sent and how things stand."""
    parameters = operation.get("parameters", [])
    writes = method.upper() != "GET"
    yield from (401, 403, 406)
    if writes or any(one["in"] == "query" for one in parameters):
        yield 400
    if writes or any(one["in"] == "path" for one in parameters):
        yield from (404, 405)  # an identifier that is none may make it another address
    if writes:
        yield from (409, 413, 415, 422)
