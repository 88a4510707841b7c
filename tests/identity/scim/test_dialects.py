"""What Okta and Entra send, as they send it, and what nobody should."""

from __future__ import annotations

import json

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.audit.models import Event
from apps.identity.models import Group, GroupMember, ScimExchange
from tests.identity.scim.caller import ENTERPRISE, ERROR, Directory, directory, okta_user

pytestmark = pytest.mark.django_db

NAMES = ["schemas", "userName", "active", "emails", "members", "value", "Operations", "op", "path", "filter"]


@pytest.fixture
def okta() -> Directory:
    return directory()


def members(of: Directory, group: dict) -> list[str]:
    found = of.call("GET", f"/Groups/{group['id']}").body.get("members", [])
    return sorted(one["value"] for one in found)


class TestUsers:
    @pytest.mark.parametrize(
        "operation",
        [
            {"op": "replace", "value": {"active": False}},
            {"op": "Replace", "path": "active", "value": "False"},
            {"op": "replace", "path": "active", "value": False},
            {"op": "Replace", "value": {"active": "False"}},
        ],
    )
    def test_every_way_to_deactivate_is_understood_and_answers_with_the_user(
        self, okta: Directory, operation: dict
    ) -> None:
        ada = okta.user()
        answer = okta.patch(f"/Users/{ada['id']}", operation)
        assert (answer.status, answer.body["active"], answer.body["id"]) == (200, False, ada["id"])
        assert answer.headers["ETag"] == 'W/"2"'

    def test_okta_replaces_the_whole_user_with_put(self, okta: Directory) -> None:
        ada = okta.user()
        whole = {
            **okta_user(),
            "id": ada["id"],
            "name": {"givenName": "Augusta", "familyName": "King"},
            "active": False,
        }
        answer = okta.call("PUT", f"/Users/{ada['id']}", whole)
        assert (answer.status, answer.body["name"]["givenName"], answer.body["active"]) == (200, "Augusta", False)

    def test_entra_adds_to_a_mail_that_is_not_there_yet_and_names_a_manager_by_id(self, okta: Directory) -> None:
        ada = okta.user(emails=[])
        answer = okta.patch(
            f"/Users/{ada['id']}",
            {"op": "Add", "path": 'emails[type eq "work"].value', "value": "ada@work.test"},
            {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": "m-1"},
            {"op": "Replace", "path": f"{ENTERPRISE}:department", "value": "Engines"},
        )
        assert answer.status == 200
        assert answer.body["emails"] == [{"type": "work", "value": "ada@work.test"}]
        assert answer.body[ENTERPRISE] == {"department": "Engines", "manager": {"value": "m-1"}}

    def test_attributes_nobody_announced_are_dropped_and_not_refused(self, okta: Directory) -> None:
        ada = okta.user(shoeSize=41, **{"urn:okta:custom:1.0:User": {"badge": 7}})
        assert "shoeSize" not in ada

    def test_a_change_that_changes_nothing_keeps_the_version(self, okta: Directory) -> None:
        ada = okta.user()
        answer = okta.patch(f"/Users/{ada['id']}", {"op": "replace", "value": {"active": True}})
        assert (answer.status, answer.headers["ETag"]) == (200, 'W/"1"')

    def test_a_version_that_is_gone_is_refused_and_nothing_changes(self, okta: Directory) -> None:
        ada = okta.user()
        body = {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "value": {"displayName": "Countess"}}],
        }
        stale = okta.call("PATCH", f"/Users/{ada['id']}", body, If_Match='W/"9"')
        assert (stale.status, stale.body["status"]) == (412, "412")
        good = okta.call("PATCH", f"/Users/{ada['id']}", body, If_Match='W/"1"')
        assert (good.status, good.body["displayName"]) == (200, "Countess")
        assert okta.call("GET", f"/Users/{ada['id']}", If_None_Match='W/"2"').status == 304

    def test_pages_are_stable_and_do_not_overlap(self, okta: Directory) -> None:
        made = [okta.user(f"p{number}@example.test")["id"] for number in range(7)]
        seen = []
        for start in (1, 4, 7, 10):
            page = okta.call("GET", f"/Users?startIndex={start}&count=3").body
            assert (page["totalResults"], page["startIndex"]) == (7, start)
            seen += [one["id"] for one in page["Resources"]]
        assert seen == made

    def test_an_external_id_is_one_users_only(self, okta: Directory) -> None:
        okta.user()
        answer = okta.call("POST", "/Users", {**okta_user("other@example.test"), "externalId": "00uada"})
        assert (answer.status, answer.body["scimType"]) == (409, "uniqueness")


class TestGroups:
    def test_okta_sends_the_name_with_every_push_and_both_directions_in_one_patch(self, okta: Directory) -> None:
        ada, ben = okta.user(), okta.user("ben@example.test")
        group = okta.group("sallyport-shop", ada)
        answer = okta.patch(
            f"/Groups/{group['id']}",
            {"op": "replace", "value": {"id": group["id"], "displayName": "sallyport-store"}},
            {"op": "remove", "path": f'members[value eq "{ada["id"]}"]'},
            {"op": "add", "path": "members", "value": [{"value": ben["id"], "display": "ben@example.test"}]},
        )
        assert (answer.status, answer.body["displayName"]) == (200, "sallyport-store")
        assert members(okta, group) == [ben["id"]]

    def test_entra_removes_members_by_value_and_the_others_stay(self, okta: Directory) -> None:
        ada, ben = okta.user(), okta.user("ben@example.test")
        group = okta.group("shop", ada, ben)
        answer = okta.patch(
            f"/Groups/{group['id']}", {"op": "Remove", "path": "members", "value": [{"value": ada["id"]}]}
        )
        assert answer.status == 200
        assert members(okta, group) == [ben["id"]]

    @pytest.mark.parametrize("nobody", [None, []])
    def test_a_full_push_replaces_and_null_means_nobody(self, okta: Directory, nobody: object) -> None:
        ada, ben = okta.user(), okta.user("ben@example.test")
        group = okta.group("shop", ada)
        okta.patch(f"/Groups/{group['id']}", {"op": "replace", "path": "members", "value": [{"value": ben["id"]}]})
        assert members(okta, group) == [ben["id"]]
        whole = {"schemas": group["schemas"], "id": group["id"], "displayName": "shop", "members": nobody}
        assert okta.call("PUT", f"/Groups/{group['id']}", whole).status == 200
        assert members(okta, group) == []

    def test_a_member_nobody_has_sent_is_given_back_and_holds_nobody_else_up(self, okta: Directory) -> None:
        ada, ben = okta.user(), okta.user("ben@example.test")
        group = okta.group("shop", ada)
        nobody = "6a2f6b3e-2d7c-4c4c-9a53-0f2f8d3f7a11"
        told = [{"value": nobody, "display": "Nobody"}, {"value": "fake-member-id"}, {"value": ben["id"]}]
        answer = okta.patch(f"/Groups/{group['id']}", {"op": "replace", "path": "members", "value": told})
        assert answer.status == 200
        assert answer.body["members"] == okta.call("GET", f"/Groups/{group['id']}").body["members"]
        assert answer.body["members"][1:] == [{"value": nobody, "display": "Nobody"}, {"value": "fake-member-id"}]
        assert set(members(okta, group)) == {ben["id"], nobody, "fake-member-id"}
        assert list(GroupMember.objects.values_list("entry__user_name", flat=True)) == ["ben@example.test"]
        last = Event.objects.order_by("seq").last()
        assert last is not None
        assert last.after == {
            "name": "shop",
            "added": 1,
            "added_users": ["ben@example.test"],
            "removed": 1,
            "removed_users": ["ada@example.test"],
            "unknown": 2,
            "unknown_members": [nobody, "fake-member-id"],
        }

    def test_a_member_nobody_has_sent_can_be_taken_out_again(self, okta: Directory) -> None:
        group = okta.group("shop", okta.user())
        added = {"op": "add", "path": "members", "value": [{"value": "a"}, {"value": "b"}]}
        assert okta.patch(f"/Groups/{group['id']}", added).status == 200
        assert okta.patch(f"/Groups/{group['id']}", {"op": "remove", "path": 'members[value eq "a"]'}).status == 200
        assert Group.objects.get().unknown_members == {"b": ""}

    def test_so_many_that_nobody_has_sent_are_refused_and_nothing_is_changed(self, okta: Directory) -> None:
        ada = okta.user()
        group = okta.group("shop", ada)
        told = [{"value": f"nobody-{number}"} for number in range(1001)]
        answer = okta.patch(f"/Groups/{group['id']}", {"op": "replace", "path": "members", "value": told})
        assert (answer.status, answer.body["schemas"], answer.body["scimType"]) == (400, [ERROR], "invalidValue")
        assert members(okta, group) == [ada["id"]]

    def test_a_deleted_group_is_gone(self, okta: Directory) -> None:
        group = okta.group("shop", okta.user())
        assert okta.call("DELETE", f"/Groups/{group['id']}").status == 204
        assert okta.call("GET", f"/Groups/{group['id']}").status == 404
        assert GroupMember.objects.count() == 0

    def test_entra_looks_for_a_group_without_its_members_and_for_a_membership(self, okta: Directory) -> None:
        ada, ben = okta.user(), okta.user("ben@example.test")
        group = okta.group("Shop", ada)
        found = okta.call("GET", '/Groups?excludedAttributes=members&filter=displayName eq "shop"').body["Resources"]
        assert [(one["id"], "members" in one) for one in found] == [(group["id"], False)]
        for one, total in ((ada, 1), (ben, 0)):
            query = f'/Groups?filter=id eq "{group["id"]}" and members eq "{one["id"]}"'
            assert okta.call("GET", query).body["totalResults"] == total


class TestIsolation:
    def test_a_provider_sees_and_touches_only_its_own(self) -> None:
        okta, entra = directory("okta"), directory("entra")
        ada = okta.user()
        group = okta.group("shop", ada)
        assert entra.call("GET", "/Users").body["totalResults"] == 0
        assert entra.call("GET", "/Groups").body["totalResults"] == 0
        for path in (f"/Users/{ada['id']}", f"/Groups/{group['id']}"):
            assert entra.call("GET", path).status == 404
            assert entra.patch(path, {"op": "replace", "value": {"displayName": "mine"}}).status == 404
            assert entra.call("DELETE", path).status == 404
        stolen = {"schemas": group["schemas"], "displayName": "shop", "members": [{"value": ada["id"]}]}
        assert entra.call("POST", "/Groups", stolen).status == 201
        assert GroupMember.objects.filter(group__provider=entra.provider).count() == 0, "nobody to this provider"
        assert entra.user()["id"] != ada["id"], "the same user name is free elsewhere"

    def test_a_provider_that_is_switched_off_is_refused(self) -> None:
        okta = directory()
        okta.provider.enabled = False
        okta.provider.save()
        assert okta.call("GET", "/Users").status == 401


class TestBadInput:
    @pytest.mark.parametrize(
        ("method", "path", "body", "status"),
        [
            ("POST", "/Users", b"", 400),
            ("POST", "/Users", b"{", 400),
            ("POST", "/Users", b"[]", 400),
            ("POST", "/Users", b'{"userName": 7}', 400),
            ("POST", "/Users", b'{"userName": "a\\u0000b"}', 400),
            ("POST", "/Users", b'{"userName": "\\ud800"}', 400),
            ("POST", "/Users", b"\xff\xfe", 400),
            ("POST", "/Users", json.dumps({"userName": "a" * 256}).encode(), 400),
            ("POST", "/Users", b'{"userName":"a","name":' + b"[" * 20000 + b"]" * 20000 + b"}", 400),
            ("POST", "/Groups", b'{"displayName": ""}', 400),
            ("POST", "/Groups", b'{"displayName": "x", "members": [{"value": "fake"}]}', 201),
            ("POST", "/Groups", b'{"displayName": "x", "members": [{"display": "fake"}]}', 400),
            ("PATCH", "/Users/7", b"7", 400),
            ("POST", "/Bulk", b"{}", 501),
            ("GET", "/Me", b"", 501),
            ("GET", "/Nothing", b"", 404),
            ("GET", "", b"", 200),
            ("DELETE", "/Users", b"", 405),
            ("GET", "/Users?filter=userName%20eq", b"", 400),
            ("GET", "/Users?filter=userName%20eq%20%22%00%22", b"", 400),
            ("GET", "/Users?filter=" + "(" * 3000, b"", 400),
            ("GET", "/Users?startIndex=99999999999999999999999&count=5", b"", 200),
            ("GET", "/Users?startIndex=-5&count=-5", b"", 200),
            ("GET", "/Users?count=x", b"", 400),
            ("GET", "/Users?sortBy=userName", b"", 501),
            ("GET", "/Users/%00", b"", 400),
        ],
    )
    def test_it_is_answered_in_scims_words_and_never_a_fault(
        self, okta: Directory, method: str, path: str, body: bytes, status: int
    ) -> None:
        answer = okta.call(method, path, body)
        assert answer.status == status, answer.body
        if status >= 400:
            assert (answer.body["schemas"], answer.body["status"]) == ([ERROR], str(status))

    def test_a_body_that_is_too_large_is_not_read(self, okta: Directory) -> None:
        answer = okta.call("POST", "/Users", b'{"userName": "' + b"a" * (4 * 1024 * 1024) + b'"}')
        assert (answer.status, answer.body["status"]) == (413, "413")

    def test_another_kind_of_body_is_refused(self, okta: Directory) -> None:
        assert okta.call("POST", "/Users", b"userName=a", Content_Type="text/plain").status == 415

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        path=st.sampled_from(["/Users", "/Groups", "/Users/.search", "/Users/6a2f6b3e-2d7c-4c4c-9a53-0f2f8d3f7a11"]),
        method=st.sampled_from(["POST", "PUT", "PATCH"]),
        body=st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(NAMES),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=12,
        ),
    )
    def test_whatever_is_sent_is_no_fault_of_ours(self, okta: Directory, path: str, method: str, body: object) -> None:
        with transaction.atomic():
            answer = okta.call(method, path, body)
            transaction.set_rollback(True)
        assert answer.status < 500 or answer.status == 501, (answer.status, answer.body)


class TestLog:
    def test_an_exchange_is_kept_without_its_secrets(self, okta: Directory) -> None:
        okta.user()
        kept = ScimExchange.objects.get()
        assert (kept.method, kept.path, kept.status) == ("POST", "/scim/v2/Users", 201)
        assert "1mz050nq" not in kept.request_body
        assert json.loads(kept.request_body)["password"] == "(removed)"
        assert okta.token not in kept.request_body + kept.response_body + kept.path

    def test_a_password_in_a_patch_is_removed_too(self, okta: Directory) -> None:
        ada = okta.user()
        okta.patch(f"/Users/{ada['id']}", {"op": "replace", "path": "password", "value": "hunter2"})
        okta.patch(f"/Users/{ada['id']}", {"op": "replace", "value": {"password": "hunter2"}})
        assert ScimExchange.objects.filter(request_body__contains="hunter2").count() == 0

    def test_strangers_leave_no_rows(self, okta: Directory) -> None:
        okta.call("GET", "/Users", Authorization="Bearer wrong")
        assert ScimExchange.objects.count() == 0
