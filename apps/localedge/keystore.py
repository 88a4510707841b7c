"""mTLS Origin Keystore: the client certificates the edge shows to its origins. Private keys are made and kept here.

Certificate 1 is the one in the configuration file; it is listed and otherwise left alone. A version becomes deployed
some time after its signed certificate came; one that a live property names cannot be deleted.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import cast

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from apps.localedge.config import Config
from apps.localedge.database import Database, Row
from apps.localedge.edgeworkers import Clock, iso
from apps.localedge.engine import Json
from apps.localedge.http import Answer, Problem, Request, Route, route

BASE = "/mtls-origin-keystore/v1"
FROM_FILE = 1
_GEOGRAPHIES = ("CORE", "RUSSIA_AND_CORE", "CHINA_AND_CORE")
_NETWORKS = ("STANDARD_TLS", "ENHANCED_TLS")
_ALIASES = ("CURRENT", "PREVIOUS")


class Keystore:
    """``in_use`` names the versions live properties refer to, by their GUID."""

    def __init__(
        self, *, config: Config, database: Database, in_use: Callable[[], frozenset[str]], began: datetime, now: Clock
    ) -> None:
        self._config = config
        self._database = database
        self._in_use = in_use
        self._began = began
        self._now = now

    def routes(self) -> tuple[Route, ...]:
        one = f"{BASE}/client-certificates/{{certificate_id}}"
        return (
            route("GET", f"{BASE}/client-certificates", self.list_certificates),
            route("POST", f"{BASE}/client-certificates", self.create),
            route("GET", f"{one}/versions", self.list_versions),
            route("POST", f"{one}/versions", self.rotate),
            route("DELETE", f"{one}/versions/{{version}}", self.delete_version),
            route("POST", f"{one}/versions/{{version}}/certificate-block", self.upload),
        )

    def list_certificates(self, _request: Request) -> Answer:
        from_file: Json = {
            "certificateId": FROM_FILE,
            "certificateName": self._config.origin.cert.stem or "edge",
            "createdBy": "local",
            "createdDate": iso(self._began.timestamp()),
            "geography": "CORE",
            "keyAlgorithm": "ECDSA",
            "notificationEmails": [],
            "secureNetwork": "STANDARD_TLS",
            "signer": "THIRD_PARTY",
        }
        made = [_certificate_json(row) for row in self._database.all("SELECT * FROM certificates ORDER BY id")]
        return Answer.json({"certificates": [from_file, *made]})

    def create(self, request: Request) -> Answer:
        """With its first version, which waits for a signature."""
        body = request.json()
        self._require_fit(body)
        with self._database.exclusive():
            number = self._database.run(
                "INSERT INTO certificates (facts, created_by, created_at) VALUES (?,?,?)",
                *(orjson.dumps(body).decode(), request.actor, self._now()),
            )
            row = self._certificate(str(number))
            self._add_version(row, request.actor)
        return Answer.json(_certificate_json(row), 201, {"Location": f"{BASE}/client-certificates/{number}"})

    def _require_fit(self, body: Mapping[str, Json]) -> None:
        name = str(body.get("certificateName") or "")
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
            raise keystore_problem(400, "certificateName must have 1 to 64 letters, digits, '.', '_' or '-'")
        if body.get("geography") not in _GEOGRAPHIES or body.get("secureNetwork") not in _NETWORKS:
            raise keystore_problem(400, "geography and secureNetwork must be given")
        if body.get("signer") != "THIRD_PARTY" or body.get("keyAlgorithm") != "ECDSA":
            raise keystore_problem(400, "This edge makes ECDSA certificates that a third party signs, and no others")
        if not body.get("contractId") or not isinstance(body.get("groupId"), int) or not body.get("notificationEmails"):
            raise keystore_problem(400, "contractId, groupId and notificationEmails must be given")
        held = [_facts(row)["certificateName"] for row in self._database.all("SELECT * FROM certificates")]
        if name in held:
            raise keystore_problem(409, "A certificate of this name exists already")

    def list_versions(self, _request: Request, certificate_id: str) -> Answer:
        """Newest first. What an alias stands for is there twice, as at Akamai."""
        if certificate_id == str(FROM_FILE):
            return Answer.json({"versions": []})
        rows = self._versions(self._certificate(certificate_id))
        signed = [row for row in rows if row["certificate"] is not None]
        aliased = [self._version_json(row, alias) for alias, row in zip(_ALIASES, signed, strict=False)]
        return Answer.json({"versions": [*(self._version_json(row) for row in rows), *aliased]})

    def rotate(self, request: Request, certificate_id: str) -> Answer:
        with self._database.exclusive():
            certificate = self._certificate(certificate_id)
            if any(row["certificate"] is None for row in self._versions(certificate)):
                raise keystore_problem(409, "A version still waits for its signed certificate")
            number = self._add_version(certificate, request.actor)
        row = self._version(certificate_id, str(number))
        place = f"{BASE}/client-certificates/{certificate_id}/versions/{number}"
        return Answer.json(self._version_json(row), 201, {"Location": place})

    def upload(self, request: Request, certificate_id: str, version: str) -> Answer:
        body = request.json()
        with self._database.exclusive():
            row = self._version(certificate_id, version)
            if row["certificate"] is not None:
                raise keystore_problem(409, "This version has its certificate already")
            signed = _signed(str(body.get("certificate") or ""))
            if signed.public_key() != _key(row).public_key():
                raise keystore_problem(400, "The certificate is not for the key of this version's signing request")
            if signed.not_valid_after_utc.timestamp() <= self._now():
                raise keystore_problem(400, "The certificate has expired")
            self._database.run(
                "UPDATE certificate_versions SET certificate=?, chain=?, submitted_by=?, submitted_at=?"
                " WHERE certificate_id=? AND version=?",
                *(str(body["certificate"]), str(body.get("trustChain") or ""), request.actor, self._now()),
                *(row["certificate_id"], row["version"]),
            )
        return Answer.json({})

    def delete_version(self, _request: Request, certificate_id: str, version: str) -> Answer:
        row = self._version(certificate_id, version)
        if row.text("guid") in self._in_use():
            raise keystore_problem(409, "A property that is live uses this version")
        sql = "DELETE FROM certificate_versions WHERE certificate_id=? AND version=?"
        self._database.run(sql, row["certificate_id"], row["version"])
        return Answer(204)

    # What the data plane shows, and what a property may name

    def identity(self, guid: str) -> tuple[str, str] | None:
        """Certificate chain and private key of a deployed version."""
        row = self._database.first("SELECT * FROM certificate_versions WHERE guid=?", guid)
        if row is None or self._status(row) != "DEPLOYED":
            return None
        return f"{row.text('certificate').strip()}\n{row.text('chain')}", row.text("private_key")

    # Rows

    def _certificate(self, certificate_id: str) -> Row:
        row = self._database.first("SELECT * FROM certificates WHERE id=?", certificate_id)
        if row is None:
            raise keystore_problem(404, "There is no such client certificate")
        return row

    def _versions(self, certificate: Row) -> list[Row]:
        sql = "SELECT * FROM certificate_versions WHERE certificate_id=? ORDER BY version DESC"
        return self._database.all(sql, certificate["id"])

    def _version(self, certificate_id: str, version: str) -> Row:
        for row in self._versions(self._certificate(certificate_id)):
            if str(row["version"]) == version:
                return row
        raise keystore_problem(404, "There is no such version")

    def _add_version(self, certificate: Row, actor: str) -> int:
        key = ec.generate_private_key(ec.SECP256R1())
        name = str(_facts(certificate)["certificateName"])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        number = certificate.integer("last_version") + 1
        self._database.run("UPDATE certificates SET last_version=? WHERE id=?", number, certificate["id"])
        self._database.run(
            "INSERT INTO certificate_versions (certificate_id, version, guid, private_key, csr, created_by, created_at)"
            " VALUES (?,?,?,?,?,?,?)",
            *(certificate["id"], number, str(uuid.uuid4()), pem.decode()),
            *(csr.public_bytes(serialization.Encoding.PEM).decode(), actor, self._now()),
        )
        return number

    def _status(self, row: Row) -> str:
        if row["certificate"] is None:
            return "AWAITING_SIGNED_CERTIFICATE"
        ready = row.real("submitted_at") + self._config.activation_delay["PRODUCTION"]
        return "DEPLOYED" if self._now() >= ready else "DEPLOYMENT_PENDING"

    def _version_json(self, row: Row, alias: str | None = None) -> dict[str, Json]:
        facts: dict[str, Json] = {
            "version": row.integer("version"),
            "versionGuid": row.text("guid"),
            "versionAlias": alias,
            "createdBy": row.text("created_by"),
            "createdDate": iso(row.real("created_at")),
            "csrBlock": {"csr": row.text("csr"), "keyAlgorithm": "ECDSA"},
            "keyAlgorithm": "ECDSA",
            "ellipticCurve": "SECP256R1",
            "status": self._status(row),
            "validation": {"errors": [], "warnings": []},
        }
        if row["certificate"] is None:
            return facts
        signed = _signed(row.text("certificate"))
        return {
            **facts,
            "certificateBlock": {
                "certificate": row.text("certificate"),
                "keyAlgorithm": "ECDSA",
                "trustChain": row.text("chain"),
            },
            "certificateSubmittedBy": row.text("submitted_by"),
            "certificateSubmittedDate": iso(row.real("submitted_at")),
            "issuedDate": iso(signed.not_valid_before_utc.timestamp()),
            "expiryDate": iso(signed.not_valid_after_utc.timestamp()),
            "issuer": signed.issuer.rfc4514_string(),
            "subject": signed.subject.rfc4514_string(),
        }


def _facts(row: Row) -> dict[str, Json]:
    return cast("dict[str, Json]", orjson.loads(row.text("facts")))


def _certificate_json(row: Row) -> Json:
    facts = _facts(row)
    shown = ("certificateName", "geography", "keyAlgorithm", "notificationEmails", "secureNetwork", "signer")
    return {
        "certificateId": row.integer("id"),
        "createdBy": row.text("created_by"),
        "createdDate": iso(row.real("created_at")),
        **{name: facts[name] for name in shown},
    }


def _key(row: Row) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(row.text("private_key").encode(), password=None)
    return cast("ec.EllipticCurvePrivateKey", key)


def _signed(pem: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise keystore_problem(400, "certificate must be a certificate in PEM") from error


def keystore_problem(status: int, detail: str) -> Problem:
    title = {400: "Bad Request", 404: "Not Found", 409: "Conflict"}[status]
    body: dict[str, Json] = {
        "type": f"/mtls-origin-keystore/v1/error-types/{title.lower().replace(' ', '-')}",
        "title": title,
        "detail": detail,
        "status": status,
        "problemId": str(uuid.uuid4()),
        "instance": f"/mtls-origin-keystore/v1/error-instances/{uuid.uuid4()}",
    }
    return Problem(status, body)


BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
