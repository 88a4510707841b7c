"""What every enforcement point should hold, what it holds, and how far it is from one to the other."""

from __future__ import annotations

from apps.rollout.models.akamai import Allowance, EdgeMove, EdgeToken, Preflight, PropertyChange, RetiredVersion
from apps.rollout.models.beside import EdgeStream, OriginCertificate, StreamKey
from apps.rollout.models.desired import Blob, PendingChange, Revision, RevisionArtifact, Shard, TargetArtifact
from apps.rollout.models.lists import AddressList, ListProduct
from apps.rollout.models.progress import Activation, Drift, Expect, Probe, Runner
from apps.rollout.models.releases import Release
from apps.rollout.models.targets import KEPT, LEAVING, Delivery, DriverName, Node, Point, Production, Sight, Target

__all__ = [
    "KEPT",
    "LEAVING",
    "Activation",
    "AddressList",
    "Allowance",
    "Blob",
    "Delivery",
    "Drift",
    "DriverName",
    "EdgeMove",
    "EdgeStream",
    "EdgeToken",
    "Expect",
    "ListProduct",
    "Node",
    "OriginCertificate",
    "PendingChange",
    "Point",
    "Preflight",
    "Probe",
    "Production",
    "PropertyChange",
    "Release",
    "RetiredVersion",
    "Revision",
    "RevisionArtifact",
    "Runner",
    "Shard",
    "Sight",
    "StreamKey",
    "Target",
    "TargetArtifact",
]
