"""The rule of an export, feature by feature, against the rule format that Akamai's provider is generated from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pytest

from tests.arch.source import ROOT
from tests.rollout.test_export_files import made, terraform_of

RULE_ARGUMENTS = {"name", "comments", "criteria_must_satisfy", "criterion", "behavior", "children"}
FEATURES = ROOT.parent / "shared" / "specs" / "akamai" / "papi-rule-features.subset.json"
"""Behaviours and criteria of one rule format, beside this repository; the provider's are generated from the same."""


@pytest.mark.skipif(not FEATURES.exists(), reason="Akamai's rule format does not lie beside this repository")
def test_every_feature_of_the_rule_is_one_of_the_rule_format_with_its_options_and_types() -> None:
    known = json.loads(FEATURES.read_text())
    built = terraform_of(made(stream_id=77, client_certificate="0f1e-guid"))["data"]["akamai_property_rules_builder"]
    seen = set()
    for block in built.values():
        (rule,) = block.values()
        assert rule.keys() <= RULE_ARGUMENTS
        assert list(block) == ["rules_" + known["ruleFormat"].replace("-", "_")]
        for kind, group in (("criterion", "criteria"), ("behavior", "behaviors")):
            features = {snake(name): one for name, one in known[group].items()}
            for name, options in ((name, one[name]) for one in rule[kind] for name in one):
                seen.add(name)
                described = {snake(option): what for option, what in features[name]["properties"].items()}
                assert options.keys() <= described.keys(), name
                for option, value in options.items():
                    assert isinstance(value, PYTHON[described[option]["type"]]), f"{name}.{option}"
                    assert value in described[option].get("enum", [value]), f"{name}.{option}"
    wanted = {"hostname", "edge_workers_failure", "edge_worker", "deny_access", "datastream", "report"}
    assert seen == wanted | {"mtls_origin_keystore"}


PYTHON: Mapping[str, type] = {"boolean": bool, "string": str, "array": list, "integer": int}


def snake(name: str) -> str:
    return re.sub("([A-Z])", lambda letter: "_" + letter.group(1).lower(), name)
