"""scim2-server's protocol with what directories in the field need beside it."""

from __future__ import annotations

import json
from functools import partial
from http import HTTPStatus
from typing import Any

from scim2_models import (
    Context,
    InvalidSyntaxException,
    InvalidValueException,
    PatchOp,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimProvider,
    SearchRequest,
)
from scim2_server.conditions import Conditions
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.service import ScimService
from scim2_server.storage import SearchPage

from apps.identity.scim.published import FoundPage, Shown
from apps.identity.scim.pushes import read
from apps.identity.scim.storage import OrmStorage

LARGEST_BODY = 4 * 1024 * 1024
READ_ONLY = frozenset({"id", "meta", "schemas"})
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
MANAGER = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:user:manager"


class DirectoryHandler(ScimHandler):
    """What a PATCH usually says of a group is done without reading the group's members."""

    storage: OrmStorage

    def patch_resource(
        self, resource_type: ResourceType, resource_id: str, patch_op: PatchOp[Any], conditions: Conditions
    ) -> Resource[Any]:
        push = read(patch_op) if resource_type.name == "Group" else None
        if push is None:
            return super().patch_resource(resource_type, resource_id, patch_op, conditions)
        self.service.check_preconditions(self.storage.head(resource_type, resource_id), "PATCH", conditions)
        return self.storage.push(resource_type, resource_id, push)


class DirectoryService(ScimService):
    """PATCH answers 200 with the resource: RFC 7644, section 3.5.2, allows it beside 204, and every client reads it.

    ``shown`` are the rows behind the resources of one request that chooses no attributes; see ``OrmStorage``.
    """

    def __init__(self, provider: ScimProvider, shown: dict[str, Shown]) -> None:
        super().__init__(provider)
        self.shown = shown

    def publish(self, base_url: str, resource: Resource[Any]) -> Resource[Any]:
        """Without a copy where the answer is written from the row: then only ``meta`` is looked at."""
        if resource.id not in self.shown or resource.meta is None:
            return super().publish(base_url, resource)
        where = self.resource_location(base_url, self.get_resource_type_of(resource), resource.id)
        resource.meta = resource.meta.model_copy(update={"location": where})
        return resource

    def resource_response(  # type: ignore[override]  # static in the library, which calls it on the service
        self,
        resource: Resource[Any],
        scim_ctx: Context,
        response_parameters: ResponseParameters[Any] | None = None,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> ScimResponse:
        shown = self.shown.get(resource.id or "")
        if shown is None or resource.meta is None:
            return super().resource_response(resource, scim_ctx, response_parameters, status)
        where, version = str(resource.meta.location), str(resource.meta.version)
        base_url = where.removesuffix(f"/{resource.meta.resource_type}s/{shown.id}")
        body = shown.published(partial(self.reference_location, base_url))
        return ScimResponse(status, body, {"Content-Location": where, "ETag": version})

    def max_body_size(self, request: ScimRequest) -> int | None:
        most = super().max_body_size(request)
        return LARGEST_BODY if most is None else most

    def read_patch(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> PatchOp[Any]:
        self.ensure_json(content_type)
        return super().read_patch(resource_type, in_the_words_of_the_rfc(body), content_type)

    def patch_response(
        self, base_url: str, resource: Resource[Any], response_parameters: ResponseParameters[Any]
    ) -> ScimResponse:
        published = self.publish(base_url, resource)
        return self.resource_response(published, Context.RESOURCE_REPLACEMENT_RESPONSE, response_parameters)

    def search_response(
        self,
        base_url: str,
        resource_types: list[ResourceType],
        page: SearchPage,
        search_request: SearchRequest[Any],
    ) -> ScimResponse:
        """With ``Resources`` even when it is empty: RFC 7644, section 3.4.2, lets it be left out, clients do not."""
        if isinstance(page, FoundPage) and not (search_request.attributes or search_request.excluded_attributes):
            return self._found(base_url, page, search_request)
        answer = super().search_response(base_url, resource_types, page, search_request)
        if answer.body is not None:
            answer.body.setdefault("Resources", [])
        return answer

    def _found(self, base_url: str, page: FoundPage, search_request: SearchRequest[Any]) -> ScimResponse:
        locate = partial(self.reference_location, base_url)
        body = {
            "schemas": [LIST],
            "totalResults": page.total,
            "startIndex": search_request.start_index,
            "itemsPerPage": len(page.shown),
            "Resources": [one.published(locate) for one in page.shown],
        }
        return ScimResponse(HTTPStatus.OK, body)


def in_the_words_of_the_rfc(body: bytes) -> bytes:
    """Two habits put right: Okta repeats the read-only ``id`` in a value without a path whenever it pushes a group, and
    Entra gives a manager as a bare id. The library already understands the others."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidSyntaxException(detail="The body is not JSON.") from error
    if not isinstance(told, dict):
        raise InvalidSyntaxException(detail="The body is not a JSON object.")
    operations = next((value for key, value in told.items() if key.lower() == "operations"), None)
    if isinstance(operations, list):
        for operation in operations:
            if isinstance(operation, dict):
                _put_right(operation)
    return json.dumps(told).encode()


def _put_right(operation: dict[str, Any]) -> None:
    path, value = operation.get("path"), operation.get("value")
    if not path and isinstance(value, dict):
        operation["value"] = {key: item for key, item in value.items() if key not in READ_ONLY}
    if isinstance(path, str) and path.lower() in {"manager", MANAGER} and isinstance(value, str):
        operation["path"], operation["value"] = MANAGER, {"value": value}


def require_storable(text: str) -> None:
    """PostgreSQL keeps no NUL, whatever way it is written."""
    if "\x00" in text or "\\u0000" in text:
        raise InvalidValueException(detail="The character U+0000 cannot be kept.")
