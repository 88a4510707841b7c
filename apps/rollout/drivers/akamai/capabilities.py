"""The capabilities a preflight asks for, and what breaks without each."""

from __future__ import annotations

from apps.rollout.drivers.akamai.preflight import (
    CLIENT_LISTS,
    KEYSTORE,
    NETWORK_LISTS,
    STREAMS,
    Capability,
    Check,
    ask_client,
    ask_edgekv_groups,
    ask_edgeworkers_group,
    ask_limits,
    ask_namespaces,
    ask_properties,
    ask_store,
    ask_tiers,
    ask_tokens,
    ask_whether_it_answers,
)

_NO_CODE = "New code never reaches the edge."
_NO_GRANTS = "Grants are approved and never reach the edge."
_BY_HAND = "The behaviour has to be put into the property by hand, and nobody notices when it is taken out."

CHECKS = (
    Check(
        "EdgeWorkers",
        (
            Capability("See EdgeWorkers", "The EdgeWorker cannot be found; nothing can be brought there.", ("VIEW",)),
            Capability("Make an EdgeWorker", "The set-up cannot make the EdgeWorker.", ("EDIT",)),
            Capability("See versions", "It cannot be told which code was uploaded; uploads repeat.", ("VIEW_VERSION",)),
            Capability("Upload versions", _NO_CODE, ("CREATE_VERSION",)),
            Capability("See activations", "What is live cannot be told, and drift stays unseen.", ("VIEW_ACTIVATION",)),
            Capability("Activate", _NO_CODE, ("ACTIVATE",)),
        ),
        ask_edgeworkers_group,
    ),
    Check(
        "EdgeWorkers",
        (
            Capability("Contract", "No EdgeWorker can be made: the product is not on the contract."),
            Capability("Resource tier", "The set-up cannot make the EdgeWorker. Name another tier in the target."),
        ),
        ask_tiers,
    ),
    Check(
        "EdgeWorkers",
        (Capability("Limits", "Nothing breaks; what is left of versions and activations is not known.", needed=False),),
        ask_limits,
    ),
    Check(
        "EdgeKV",
        (
            Capability("Read items", "Drift at the edge stays unseen.", ("READ_DATA", "READ_STAGING_DATA")),
            Capability("Write items", _NO_GRANTS, ("WRITE_DATA", "WRITE_STAGING_DATA")),
            Capability("Delete items", "What was removed stays at the edge.", ("DELETE_DATA", "DELETE_STAGING_DATA")),
            Capability(
                "Make a namespace",
                "The set-up cannot make the namespace; make it by hand.",
                ("VIEW_NAMESPACE", "CREATE_NAMESPACE", "VIEW_STAGING_NAMESPACE", "CREATE_STAGING_NAMESPACE"),
            ),
            Capability(
                "Make an access token",
                "The code at the edge cannot read grants, and refuses every call.",
                ("VIEW_TOKEN", "CREATE_TOKEN", "VIEW_STAGING_TOKEN", "CREATE_STAGING_TOKEN"),
            ),
        ),
        ask_edgekv_groups,
    ),
    Check(
        "EdgeKV",
        (
            Capability("Initialised on staging", "Nothing can be tried on staging until it is."),
            Capability("Initialised on production", _NO_GRANTS),
        ),
        ask_store,
    ),
    Check(
        "EdgeKV",
        (
            Capability("Namespace on staging", "Nothing can be tried on staging until it is there."),
            Capability("Namespace on production", _NO_GRANTS),
        ),
        ask_namespaces,
    ),
    Check(
        "EdgeKV",
        (Capability("Access token", "The code at the edge cannot read grants, and refuses every call."),),
        ask_tokens,
    ),
    Check(
        "Property Manager",
        (Capability("See properties", _BY_HAND, needed=False),),
        ask_properties,
    ),
    Check(
        "API client",
        (
            Capability("Credential", "Nobody is warned before the credential runs out.", needed=False),
            Capability("Change and activate properties", _BY_HAND, needed=False),
        ),
        ask_client,
    ),
    Check(
        "Around it",
        (
            Capability(
                "mTLS origin keystore",
                "The certificate the edge shows to the mesh has to be imported by hand, every 30 days.",
                needed=False,
            ),
        ),
        ask_whether_it_answers(KEYSTORE, "client certificates"),
    ),
    Check(
        "Around it",
        (
            Capability(
                "DataStream",
                "The edge's own log is not delivered: a call the edge refuses is seen by nobody here.",
                needed=False,
            ),
        ),
        ask_whether_it_answers(STREAMS, "streams"),
    ),
    Check(
        "Around it",
        (Capability("Network lists", "Without client lists either, no host can be guarded by a list.", needed=False),),
        ask_whether_it_answers(NETWORK_LISTS, "lists"),
    ),
    Check(
        "Around it",
        (
            Capability(
                "Client lists", "Guarded hosts use network lists, whose entries do not end by themselves.", needed=False
            ),
        ),
        ask_whether_it_answers(CLIENT_LISTS, "lists"),
    ),
)
"""In the order they are shown. Each has its own time limit; none waits for another."""
