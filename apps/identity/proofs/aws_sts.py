"""Asking AWS who signed a GetCallerIdentity request, and which workload that is here.

The pattern of Vault's AWS authentication and of the EKS authenticator. The address is ours, the answer is small, typed
and read without any trick XML knows.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from xml.etree.ElementTree import Element

import requests
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring
from django.conf import settings

from apps.identity.models import ProofKind, WorkloadIdentity
from apps.identity.proofs import aws_request, bindings, replay
from apps.identity.proofs.aws_request import SignedRequest
from apps.identity.proofs.outcome import ProofRefused, ProofUnavailable, Proven, require

TIMEOUT = 5
LONGEST_ANSWER = 64 * 1024
REMEMBERED = timedelta(minutes=15)
"""For so long AWS takes a signed request, whatever it says of itself."""

AT_ONCE = threading.BoundedSemaphore(8)
"""Questions to AWS a process has open. A flood of forged proofs waits here, not in every worker."""

_NAMESPACE = "{https://sts.amazonaws.com/doc/2011-06-15/}"
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_ROLE = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):sts::(?P<account>\d{12}):assumed-role/(?P<name>[\w+=,.@-]{1,64})/[\w+=,.@-]{2,64}",
    re.ASCII,
)
_USER = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):iam::(?P<account>\d{12}):user/(?:[\x21-\x7e]*/)?(?P<name>[\w+=,.@-]{1,64})",
    re.ASCII,
)
_ID = re.compile(r"[A-Za-z0-9]{8,128}")


@dataclass(frozen=True, slots=True)
class Caller:
    """A role or user as AWS names it. ``stable_id`` outlives no deletion; the session's name says nothing."""

    kind: ProofKind
    partition: str
    account: str
    name: str
    stable_id: str


def prove(token: str, *, at: datetime) -> Proven:
    """The workload whose AWS role or user signed; raises ProofRefused or ProofUnavailable."""
    require(bool(settings.SALLYPORT_AWS_REGIONS), "Proofs by AWS signature are not switched on here.")
    request = aws_request.read(token, server_id=settings.SALLYPORT_URL, regions=settings.SALLYPORT_AWS_REGIONS, at=at)
    replay.require_unused(request.digest)
    caller = ask(request)
    replay.spend(request.digest, expires_at=at + REMEMBERED)
    binding = _binding(caller, at)
    return Proven(binding.subject.key, f"aws-sts:{caller.account}/{caller.name}")


def _binding(caller: Caller, at: datetime) -> WorkloadIdentity:
    found = bindings.find_aws(kind=caller.kind, partition=caller.partition, account=caller.account, name=caller.name)
    if found is None:
        raise ProofRefused(f"No workload here is {caller.kind} {caller.name} of account {caller.account}.")
    return bindings.use_aws(found, stable_id=caller.stable_id, at=at)


def ask(request: SignedRequest) -> Caller:
    """Send it to AWS. Whatever is not exactly the expected answer is none."""
    if not AT_ONCE.acquire(blocking=False):
        raise ProofUnavailable("Too many proofs at once. Try again in a second.")
    try:
        status, kind, text = _post(request)
    except requests.RequestException as error:
        raise ProofUnavailable("AWS does not answer. Try again in a second.") from error
    finally:
        AT_ONCE.release()
    if status != 200:
        said = _CODE.search(text)
        raise ProofRefused(f"AWS did not accept the signature: {said[1] if said else status}.")
    require(kind.partition(";")[0].strip().lower() == "text/xml", "AWS answered something else than text/xml.")
    return caller_of(text, aws_request.partition(request.region))


def _post(request: SignedRequest) -> tuple[int, str, str]:
    """No redirects, and no proxy from the environment: the answer must come from where we asked."""
    address = settings.SALLYPORT_AWS_STS_URL or f"https://{request.host}/"
    headers = {**request.headers, "host": request.host, "accept": "text/xml"}
    with requests.Session() as session:
        session.trust_env = False
        session.headers.clear()
        with session.post(
            address, data=request.body.encode(), headers=headers, timeout=TIMEOUT, allow_redirects=False, stream=True
        ) as answer:
            raw = b""
            for piece in answer.iter_content(8192):
                raw += piece
                require(len(raw) <= LONGEST_ANSWER, "AWS answered at too great a length.")
            return answer.status_code, answer.headers.get("Content-Type", ""), raw.decode("utf-8", "replace")


def caller_of(text: str, partition: str) -> Caller:
    """Read GetCallerIdentity's answer."""
    begins = text.lstrip().startswith(("<?xml", "<GetCallerIdentityResponse"))
    require(begins, "AWS answered something else than GetCallerIdentityResponse.")
    try:
        root = fromstring(text.strip().encode(), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise ProofRefused("AWS answered what is not plain XML.") from error
    require(root.tag == f"{_NAMESPACE}GetCallerIdentityResponse", "AWS answered something else.")
    arn, user_id, account = (_only(root, name) for name in ("Arn", "UserId", "Account"))
    require(not arn.endswith(":root"), "The root user of an account is never a workload.")
    return _read(arn, user_id, account, partition)


def _only(root: Element, name: str) -> str:
    found = root.findall(f"{_NAMESPACE}GetCallerIdentityResult/{_NAMESPACE}{name}")
    require(len(found) == 1 and bool(found[0].text), f"AWS did not say the {name}.")
    return str(found[0].text).strip()


def _read(arn: str, user_id: str, account: str, partition: str) -> Caller:
    """The session's name is chosen by whoever took the role, so it only has to be the same in both places."""
    role, user = _ROLE.fullmatch(arn), _USER.fullmatch(arn)
    found = role or user
    if found is None:
        raise ProofRefused("Only roles and users can be workloads; a federated user cannot.")
    stable_id, _, session = user_id.partition(":")
    require(_ID.fullmatch(stable_id) is not None, "AWS named no stable id.")
    require(found["account"] == account, "AWS named two accounts.")
    require(found["partition"] == partition, f"The account is not in the partition {partition}.")
    require(session == (arn.rsplit("/", 1)[1] if role else ""), "AWS named two sessions.")
    kind = ProofKind.AWS_ROLE if role else ProofKind.AWS_USER
    return Caller(kind, partition, account, found["name"], stable_id)
