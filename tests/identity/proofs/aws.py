"""A workload on AWS, as our documentation tells it to prove itself, and an AWS on the loopback to ask."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.servers import free_port

REGION = "eu-central-1"
HOST = f"sts.{REGION}.amazonaws.com"
BODY = "Action=GetCallerIdentity&Version=2011-06-15"
FORM = "application/x-www-form-urlencoded"
SERVER_ID = "http://127.0.0.1:8000"
ACCOUNT = "123456789012"


@dataclass
class Signed:
    """The four parts, to be bent by a test before they are packed."""

    method: str = "POST"
    url: str = f"https://{HOST}/"
    body: str = BODY
    headers: dict[str, str] = field(default_factory=dict)

    def packed(self, **changed: Any) -> str:
        parts = {"method": self.method, "url": self.url, "body": self.body, "headers": self.headers} | changed
        return pack({name: value for name, value in parts.items() if value is not None})


def pack(parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).rstrip(b"=").decode()


def sign(
    credentials: Credentials,
    *,
    at: datetime | None = None,
    server_id: str = SERVER_ID,
    region: str = REGION,
    service: str = "sts",
    url: str | None = None,
    body: str = BODY,
    extra: dict[str, str] | None = None,
) -> Signed:
    """Signed as the AWS libraries sign. With ``at`` as if the clock were there."""
    url = url or f"https://sts.{region}.amazonaws.com/"
    headers = {"Content-Type": FORM, "X-Sallyport-Server-Id": server_id, **(extra or {})}
    request = AWSRequest("POST", url, data=body, headers=headers)
    signer = SigV4Auth(credentials, service, region)
    if at is None:
        signer.add_auth(request)
    else:
        _sign_at(signer, request, at.astimezone(UTC))
    return Signed(url=url, body=body, headers=dict(request.headers.items()))


def _sign_at(signer: SigV4Auth, request: AWSRequest, at: datetime) -> None:
    """``add_auth``, with the moment given instead of looked up."""
    request.context["timestamp"] = at.strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing(request)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(text, request))


@dataclass(frozen=True)
class Aws:
    url: str
    user: Credentials

    def client(self, service: str, credentials: Credentials | None = None) -> Any:
        who = credentials or self.user
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=who.access_key,
            aws_secret_access_key=who.secret_key,
            aws_session_token=who.token,
        )

    def make_role(self, name: str, *, path: str = "/", tags: dict[str, str] | None = None) -> str:
        made = self.client("iam").create_role(
            RoleName=name,
            Path=path,
            AssumeRolePolicyDocument=ANYBODY,
            Tags=[{"Key": key, "Value": value} for key, value in (tags or {}).items()],
        )["Role"]
        self.client("iam").put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=ALLOW_ALL)
        return str(made["RoleId"])

    def assume(self, name: str, *, session: str = "pod-1") -> Credentials:
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        found = self.client("sts").assume_role(RoleArn=arn, RoleSessionName=session)["Credentials"]
        return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])


ANYBODY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}],
    }
)
ALLOW_ALL = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})


@contextmanager
def running_aws(*, setup_actions: int = 4) -> Iterator[Aws]:
    """moto, told to check signatures once the first user with every right exists."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(setup_actions)}
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(url, process)
        yield Aws(url, _first_user(url))
    finally:
        process.terminate()
        process.wait(10)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until and process.poll() is None:
        try:
            requests.get(f"{url}/moto-api/data.json", timeout=1)
            return
        except requests.RequestException:
            time.sleep(0.05)
    raise RuntimeError("moto did not start.")


def _first_user(url: str) -> Credentials:
    iam = boto3.client(
        "iam", endpoint_url=url, region_name=REGION, aws_access_key_id="none", aws_secret_access_key="none"
    )
    iam.create_user(UserName="deployer", Path="/ci/")
    key = iam.create_access_key(UserName="deployer")["AccessKey"]
    iam.put_user_policy(UserName="deployer", PolicyName="all", PolicyDocument=ALLOW_ALL)
    iam.list_users()
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])
