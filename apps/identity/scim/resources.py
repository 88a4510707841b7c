"""SCIM resources to what we keep, and back."""

from __future__ import annotations

from functools import cache
from typing import Any, Union, cast

from scim2_models import (
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    ETag,
    Filter,
    InvalidValueException,
    ListResponse,
    Meta,
    Patch,
    PatchOp,
    Path,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimFilter,
    ScimPolicy,
    ScimProvider,
    SearchRequest,
    ServiceProviderConfig,
    Sort,
    default_comparison_key,
)
from scim2_server.utils import load_default_resource_types, load_default_schemas, parametrize

from apps.identity.models import DirectoryUser, Group
from apps.identity.scim.people import Described
from apps.identity.scim.pushes import Push

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
MOST_RESULTS = 200
NOT_KEPT = frozenset({"schemas", "id", "meta", "password", "groups"})
"""What has a column of its own, is only ours to say, or is never kept."""


@cache
def provider() -> ScimProvider:
    """What we announce. Tolerant where directories are known to be: Entra removes members by value, and adds to a
    filtered path that matches nothing; Okta sends attributes of its own."""
    return ScimProvider.from_discovery(
        load_default_schemas().values(),
        load_default_resource_types().values(),
        config=ServiceProviderConfig(
            patch=Patch(supported=True),
            bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
            filter=Filter(supported=True, max_results=MOST_RESULTS),
            change_password=ChangePassword(supported=False),
            sort=Sort(supported=False),
            etag=ETag(supported=True),
            authentication_schemes=[
                AuthenticationScheme(
                    type=AuthenticationScheme.Type.oauthbearertoken,
                    name="Bearer token",
                    description="A token made for the directory in the settings, as Authorization: Bearer.",
                    primary=True,
                )
            ],
        ),
        policy=ScimPolicy(
            unknown=ScimPolicy.Unknown.ignore,
            remove_value_as_filter=ScimPolicy.RemoveValue.apply,
            unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
        ),
    )


@cache
def resource_type(name: str) -> ResourceType:
    return next(one for one in provider().resource_types if one.name == name)


@cache
def model(name: str) -> type[Resource[Any]]:
    return cast("type[Resource[Any]]", provider().model_for(resource_type(name)))


@cache
def kept_models() -> tuple[type, ...]:
    """The models of messages about users and groups.

    pydantic remembers one only while somebody holds it: without this they would be built anew for each request, which
    takes longer than the request.
    """
    user, group = model("User"), model("Group")
    one = [parametrize(kind, of) for kind in (PatchOp, SearchRequest, ResponseParameters) for of in (user, group)]
    both = [parametrize(kind, Union[user, group]) for kind in (SearchRequest, ListResponse)]  # noqa: UP007 - at run time
    return (*one, *both, *(parametrize(kind, of) for kind in (Path, ScimFilter) for of in (user, group)))


def describe(resource: Resource[Any], *, new: bool = False) -> Described:
    """Raises InvalidValueException for what cannot be kept. A new user is active, and says so."""
    told = ({"active": True} if new else {}) | resource.model_dump()
    user_name, external_id = _text(told, "userName"), _text(told, "externalId")
    if not user_name.strip():
        raise InvalidValueException(detail="A user needs a userName.")
    document = {key: value for key, value in told.items() if key not in NOT_KEPT}
    return Described(
        user_name=user_name,
        user_name_key=name_key(user_name),
        external_id=external_id,
        active=told.get("active") is not False,
        name=_shown_name(told) or user_name,
        email=_email(told),
        document=document,
    )


def name_key(user_name: str) -> str:
    """The form in which user names are compared, as the library compares them."""
    return default_comparison_key(_user_name_binding(), user_name)[:255]


@cache
def _user_name_binding() -> object:
    return parametrize(Path, model("User"))("userName").resolve()


def _text(told: dict[str, Any], name: str) -> str:
    value = told.get(name) or ""
    if len(value) > 255:
        raise InvalidValueException(detail=f"{name} is longer than 255 characters.")
    return str(value)


def _shown_name(told: dict[str, Any]) -> str:
    name = told.get("name") or {}
    parts = " ".join(part for part in (name.get("givenName"), name.get("familyName")) if part)
    return str(told.get("displayName") or name.get("formatted") or parts)[:200]


def _email(told: dict[str, Any]) -> str:
    mails = [one for one in told.get("emails") or [] if one.get("value")]
    first = next((one for one in mails if one.get("primary")), mails[0] if mails else {})
    value = str(first.get("value") or "")
    return value if len(value) <= 254 else ""


def user_resource(entry: DirectoryUser) -> Resource[Any]:
    document = {**entry.document, "id": str(entry.scim_id)}
    return _with_meta(model("User").model_validate(document), "User", entry)


def group_resource(group: Group, members: list[tuple[str, str]] | None) -> Resource[Any]:
    """``members`` are ids and shown names; None leaves them out because nobody asked for them."""
    document: dict[str, Any] = {"id": str(group.scim_id), "displayName": group.name}
    if group.external_id:
        document["externalId"] = group.external_id
    if members is not None:
        document["members"] = [
            {"value": scim_id, "$ref": f"Users/{scim_id}", "type": "User", "display": display or None}
            for scim_id, display in members
        ] + [{"value": one, "display": display or None} for one, display in sorted(group.unknown_members.items())]
    return _with_meta(model("Group").model_validate(document), "Group", group)


def _with_meta(resource: Resource[Any], kind: str, row: DirectoryUser | Group) -> Resource[Any]:
    resource.meta = Meta(
        resource_type=kind, created=row.created_at, last_modified=row.updated_at, version=f'W/"{row.revision}"'
    )
    return resource


def group_parts(resource: Resource[Any]) -> Push:
    """All there is to say of the group. Raises InvalidValueException."""
    told = resource.model_dump()
    members = told.get("members") or []
    if not all(one.get("value") for one in members):
        raise InvalidValueException(detail="A member needs a value.")
    come = {str(one["value"]): str(one.get("display") or "")[:255] for one in members}
    name = require_name(_text(told, "displayName"))
    return Push(name=name, external_id=_text(told, "externalId"), come=come, whole=True)


def require_name(name: str) -> str:
    if not name.strip():
        raise InvalidValueException(detail="A group needs a displayName.")
    return name
