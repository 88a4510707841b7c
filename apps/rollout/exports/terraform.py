"""The state as Terraform for Akamai's provider, in JSON syntax: built, never templated, so nothing needs to be quoted.

Names of resources and arguments are those of the provider's documentation (techdocs.akamai.com/terraform, 9.2). It has
no resource for EdgeKV access tokens; the one the code reads with is made once, by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from apps.compiler.emitters.edgekv import GROUP
from apps.rollout.drivers.akamai.property import RULE_FORMAT
from apps.rollout.drivers.akamai.rules import our_rule
from apps.rollout.exports import terraform_beside
from apps.rollout.exports.blocks import NETWORKS, PRODUCTION, Block, as_import, literal
from apps.rollout.exports.laid_out import pretty
from apps.rollout.exports.state import EdgeState

OLDEST_TERRAFORM, PROVIDER = ">= 1.7.0", ">= 9.2.0"


def terraform(state: EdgeState) -> dict[str, bytes]:
    """By file name; a file with nothing in it is left out."""
    files = {
        "versions.tf.json": _versions(),
        "variables.tf.json": _variables(state),
        "edgekv.tf.json": {"resource": _edgekv(state)},
        "edgeworker.tf.json": _edgeworker(state),
        "property.tf.json": _property(state),
        "address_lists.tf.json": terraform_beside.address_lists(state.beside),
        "datastream.tf.json": terraform_beside.datastream(state.beside),
        "client_certificate.tf.json": terraform_beside.client_certificate(state.beside),
        "imports.tf.json": _imports(state),
    }
    return {name: pretty(content) for name, content in files.items() if content}


def _versions() -> Block:
    provider = {"akamai": {"source": "akamai/akamai", "version": PROVIDER}}
    return {
        "terraform": {"required_version": OLDEST_TERRAFORM, "required_providers": provider},
        "provider": {"akamai": {"edgerc": "${var.edgerc}", "config_section": "${var.edgerc_section}"}},
    }


def _variables(state: EdgeState) -> Block:
    found: Block = {
        "edgerc": {"type": "string", "default": "~/.edgerc", "description": "The file with your own API credential."},
        "edgerc_section": {"type": "string", "default": "default", "description": "The section of it to use."},
    }
    if state.code:
        found["code_bundle"] = {
            "type": "string",
            "sensitive": True,
            "description": "Path of the code bundle, written by `manage.py export_target --code`. It is confidential.",
        }
    return {"variable": found | terraform_beside.variables(state.beside)}


# -- EdgeKV ------------------------------------------------------------------------------------------------------------
def _edgekv(state: EdgeState) -> Block:
    found: Block = {"akamai_edgekv": {network: _namespace(state, network) for network in NETWORKS}}
    if state.items:
        found["akamai_edgekv_group_items"] = {network: _group_items(state, network) for network in NETWORKS}
    return found


def _namespace(state: EdgeState, network: str) -> Block:
    return {
        "namespace_name": literal(state.namespace),
        "network": network,
        "group_id": state.group_id,
        "retention_in_seconds": 0,
        "geo_location": "US",
        "lifecycle": {"prevent_destroy": True},
    }


def _group_items(state: EdgeState, network: str) -> Block:
    return {
        "namespace_name": f"${{akamai_edgekv.{network}.namespace_name}}",
        "network": network,
        "group_name": GROUP,
        "items": {key: _content_of(key) for key in sorted(state.items)},
    }


def _content_of(key: str) -> str:
    return f'${{jsonencode(jsondecode(file("${{path.module}}/../edgekv/{GROUP}/{key}.json")))}}'


# -- EdgeWorkers -------------------------------------------------------------------------------------------------------
def _edgeworker(state: EdgeState) -> Block:
    if not state.code:
        return {}
    worker = {
        "name": literal(state.edgeworker_name),
        "group_id": str(state.group_id),
        "resource_tier_id": state.resource_tier_id,
        "local_bundle": "${var.code_bundle}",
        "lifecycle": {"prevent_destroy": True, "precondition": [_right_bundle(state)]},
    }
    activations = {network: _activation(state, network) for network in NETWORKS}
    return {"resource": {"akamai_edgeworker": {"edge": worker}, "akamai_edgeworkers_activation": activations}}


def _right_bundle(state: EdgeState) -> Block:
    return {
        "condition": f'${{nonsensitive(filesha256(var.code_bundle)) == "{state.code_sha256}"}}',
        "error_message": f"This is not the code bundle of version {literal(state.code_version)}.",
    }


def _activation(state: EdgeState, network: str) -> Block:
    """Items first, since new code may read new items; staging before production."""
    before = [f"akamai_edgekv_group_items.{network}"] if state.items else []
    before += ["akamai_edgeworkers_activation.staging"] if network == PRODUCTION else []
    found: Block = {
        "edgeworker_id": "${akamai_edgeworker.edge.edgeworker_id}",
        "version": literal(state.code_version),
        "network": network.upper(),
        "note": "Sallyport",
    }
    return {**found, "depends_on": before} if before else found


# -- the property ------------------------------------------------------------------------------------------------------
def rule_of(state: EdgeState) -> Block:
    """Our child rule as Property Manager writes it. The id is 0 as long as nobody knows it."""
    return our_rule(state.wish)


def _property(state: EdgeState) -> Block:
    """The rule as a data source, whose JSON is a child of the rule tree that is kept elsewhere."""
    if not state.code or not state.hosts:
        return {}
    rule = rule_of(state)
    (inner,) = rule["children"]
    outer = {**_built(rule), "children": ["${data.akamai_property_rules_builder.sallyport_refuses.json}"]}
    for behavior in outer["behavior"]:
        if "edge_worker" in behavior:
            behavior["edge_worker"]["edge_worker_id"] = "${akamai_edgeworker.edge.edgeworker_id}"
    block = "rules_" + RULE_FORMAT.replace("-", "_")
    rules = {"sallyport_refuses": {block: _built(inner)}, "sallyport": {block: outer}}
    told = "A child rule for your property. Its two variables are in property/variables.json."
    shown = {"value": "${data.akamai_property_rules_builder.sallyport.json}", "description": told}
    return {"data": {"akamai_property_rules_builder": rules}, "output": {"sallyport_rule": shown}}


def _built(rule: Mapping[str, Any]) -> Block:
    return {
        "name": literal(rule["name"]),
        "comments": literal(rule["comments"]),
        "criteria_must_satisfy": rule["criteriaMustSatisfy"],
        "criterion": [_feature(one) for one in rule["criteria"]],
        "behavior": [_feature(one) for one in rule["behaviors"]],
    }


def _feature(feature: Mapping[str, Any]) -> Block:
    options = {_snake(name): _quoted(value) for name, value in feature["options"].items()}
    return {_snake(feature["name"]): options}


def _quoted(value: Any) -> Any:
    if isinstance(value, str):
        return literal(value)
    return [literal(one) for one in value] if isinstance(value, list) else value


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda letter: "_" + letter.group(1).lower(), name)


# -- what is there already ---------------------------------------------------------------------------------------------
def _imports(state: EdgeState) -> Block:
    """Terraform takes over what exists instead of making it again; what it knows already is left alone."""
    found: list[Block] = []
    if state.edgeworker_id is not None:
        found += [_taken(f"akamai_edgekv.{one}", f"{state.namespace}:{one}") for one in NETWORKS]
        if state.code:
            found.append(_taken("akamai_edgeworker.edge", str(state.edgeworker_id)))
    if state.taken_over:
        if state.items:
            ids = {one: f"{state.namespace}:{one}:{GROUP}" for one in NETWORKS}
            found += [_taken(f"akamai_edgekv_group_items.{one}", ids[one]) for one in NETWORKS]
        if state.code and state.edgeworker_id is not None:
            live = {one: f"{state.edgeworker_id}:{one.upper()}" for one in NETWORKS}
            found += [_taken(f"akamai_edgeworkers_activation.{one}", live[one]) for one in NETWORKS]
    found += terraform_beside.imports(state.beside)
    return {"import": found} if found else {}


def _taken(to: str, id_: str) -> Block:
    return as_import(to, literal(id_))
