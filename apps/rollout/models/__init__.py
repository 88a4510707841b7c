"""What every enforcement point should hold, what it holds, and how far it is from one to the other."""

from __future__ import annotations

from apps.rollout.models.akamai import Allowance, EdgeMove, Preflight, PropertyChange, RetiredVersion
from apps.rollout.models.beside import EdgeStream, OriginCertificate, StreamKey
from apps.rollout.models.desired import Blob, PendingChange, Revision, RevisionArtifact, Shard, TargetArtifact
from apps.rollout.models.progress import Activation, Drift, Expect, Probe, Runner
from apps.rollout.models.targets import DriverName, Node, Point, Production, Target

__all__ = [
    "Activation",
    "Allowance",
    "Blob",
    "Drift",
    "DriverName",
    "EdgeMove",
    "EdgeStream",
    "Expect",
    "Node",
    "OriginCertificate",
    "PendingChange",
    "Point",
    "Preflight",
    "Probe",
    "Production",
    "PropertyChange",
    "RetiredVersion",
    "Revision",
    "RevisionArtifact",
    "Runner",
    "Shard",
    "StreamKey",
    "Target",
    "TargetArtifact",
]
