"""A Backstage catalogue file, read whole: entities in, the estate it describes and everything wrong with it out."""

from __future__ import annotations

from dataclasses import dataclass

from apps.catalog.imports.components import (
    is_service,
    provided_apis,
    read_api,
    read_dependencies,
    read_service,
)
from apps.catalog.imports.documents import UnreadableYamlError, read
from apps.catalog.imports.entities import Entity, Ref, read_entity
from apps.catalog.imports.estate import Estate, Exposure
from apps.catalog.imports.people import is_agent, read_agent, read_group, read_user
from apps.catalog.imports.problems import Findings, Place


@dataclass(slots=True)
class Reading:
    """What was understood of a file. The estate is whole only when there are no problems."""

    estate: Estate
    findings: Findings


def read_catalogue(text: str, file: str) -> Reading:
    """Reads every document and reports every fault; only text that is not YAML ends the reading early."""
    reading = Reading(Estate(), Findings())
    entities = _entities(text, file, reading.findings)
    agents = frozenset(ref for ref, one in entities.items() if ref.kind in ("user", "component") and is_agent(one))
    _read_people(entities, reading.estate, agents)
    _read_services(entities, reading.estate, agents)
    _check_addresses(reading)
    return reading


def _entities(text: str, file: str, findings: Findings) -> dict[Ref, Entity]:
    found: dict[Ref, Entity] = {}
    try:
        documents = read(text)
    except UnreadableYamlError as error:
        findings.blame(Place(file, error.document, error.line), error.message)
        return found
    if not documents:
        findings.blame(Place(file), "The file holds no entities.")
    for document in documents:
        entity = read_entity(document, file, findings)
        if entity is not None and entity.ref in found:
            entity.blame("An entity of this kind and name is there already.", "metadata", "name")
        elif entity is not None:
            found[entity.ref] = entity
    return found


def _read_people(entities: dict[Ref, Entity], estate: Estate, agents: frozenset[Ref]) -> None:
    for ref, entity in entities.items():
        if ref.kind == "group":
            read_group(entity, estate, agents)
        elif ref.kind == "user":
            read_user(entity, estate, agents)
        elif ref in agents:
            owner = entity.text("spec", "owner")
            team = entity.refer(owner, "spec", "owner", kind="group", kinds=("group",)) if owner else None
            read_agent(entity, estate, agents, team)


def _read_services(entities: dict[Ref, Entity], estate: Estate, agents: frozenset[Ref]) -> None:
    components = [one for ref, one in entities.items() if ref.kind == "component" and ref not in agents]
    services = {one.ref: one for one in components if is_service(one)}
    providers: dict[Ref, list[Ref]] = {}
    for entity in components:
        if entity.ref not in services:
            entity.note("this component is not a service and does not say where it answers; left aside.")
            continue
        read_service(entity, estate, entities)
        for api in provided_apis(entity):
            providers.setdefault(api, []).append(entity.ref)
    for ref, entity in entities.items():
        if ref.kind == "api":
            read_api(entity, estate, providers.get(ref, []))
    left_aside = {one.ref for one in components if one.ref not in services}
    for entity in services.values():
        read_dependencies(entity, estate, providers, left_aside)


def _check_addresses(reading: Reading) -> None:
    """Two services may not answer at one address, nor two sidecars on one port or as one workload."""
    taken: dict[tuple[object, ...], str] = {}
    for item in reading.estate.in_order():
        if isinstance(item, Exposure):
            for claim in claims(item):
                other = taken.setdefault(claim, item.service)
                if other != item.service:
                    reading.findings.blame(
                        reading.estate.places[item.ref], f"{other} already has {claim_words(claim)}."
                    )


def claims(item: Exposure) -> list[tuple[object, ...]]:
    """What nobody else in the environment may have."""
    if item.point == "edge":
        return [(item.environment, "address", item.host, item.base_path)]
    own: list[tuple[object, ...]] = [(item.environment, "workload", item.workload)]
    return [(item.environment, "port", item.port), *own] if item.port is not None else own


def claim_words(claim: tuple[object, ...]) -> str:
    return f"the {claim[1]} {''.join(str(part) for part in claim[2:])}"
