"""An export in the hands of the real Terraform.

Akamai's provider is not needed for it: what is there is parsed as it is, and then run with Terraform's own
``terraform_data`` in the place of each resource, so that expressions, conditions, references and order are Terraform's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from apps.compiler.artifacts import Artifact
from apps.compiler.emitters.edgeworker import pack
from apps.rollout.exports.beside import BesideCode
from apps.rollout.exports.laid_out import compact
from apps.rollout.exports.state import EdgeState
from apps.rollout.exports.tree import export
from tests.compiler.estate import estate
from tests.rollout.test_export_beside import CERTIFICATE, STREAM, client_list, network_list
from tests.rollout.test_export_files import sign, state_of

PROGRAM = shutil.which("terraform")
WITH_ALL = {
    "stream_id": 77,
    "client_certificate": "0f1e-guid",
    "edgeworker_name": "${odd} %{name}",
    "beside": BesideCode((client_list(contract=""), network_list()), STREAM, CERTIFICATE),
}
GIVEN = ("-var", "stream_secret=s3cret", "-var", 'notification_emails=["ops@shop.test"]', "-var", "contract_id=C-9")
COMPUTED: Mapping[str, Mapping[str, object]] = {
    "akamai_edgeworker": {"edgeworker_id": 42},
    "akamai_clientlist_list": {"list_id": "1_A", "version": 4},
    "akamai_networklist_network_list": {"uniqueid": "2_B", "sync_point": 5},
    "akamai_property_rules_builder": {"json": "as the provider would build it"},
}
"""What the provider works out by itself."""
BESIDE: Mapping[str, str] = {
    "password": "akamai_datastream.edge.https_connector.password",
    "contract": "akamai_clientlist_list.for_api_shop_test.contract_id",
    "version": "akamai_clientlist_activation.for_api_shop_test_production.version",
    "sync_point": "akamai_networklist_activations.for_shop_test_staging.sync_point",
    "told": "akamai_networklist_activations.for_shop_test_staging.notification_emails",
}

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no terraform on this machine")


def terraform(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = folder / "none.tfrc"
    settings.write_text("")
    mine = {
        "TF_CLI_CONFIG_FILE": str(settings),
        "HOME": str(folder),
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
    }
    command = [str(PROGRAM), *arguments, *(["-no-color"] if arguments[0] != "providers" else [])]
    return subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], **mine},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def ran(folder: Path, *arguments: str) -> str:
    done = terraform(folder, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def state() -> EdgeState:
    plain = state_of(estate(), **WITH_ALL)
    return state_of(estate(), **WITH_ALL, code_sha256=Artifact.of("", "", pack(plain.code)).sha256)


def laid(folder: Path) -> Path:
    """Where the Terraform of an export lies, among its other files."""
    for path, content in export(state(), sign).files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder / "terraform"


def test_terraform_reads_it_as_it_is(tmp_path: Path) -> None:
    """Blocks, arguments of Terraform's own, versions, imports and references are understood before any provider is."""
    told = ran(laid(tmp_path), "providers")
    assert "provider[registry.terraform.io/akamai/akamai] >= 9.2.0" in told


def stood_in(folder: Path) -> None:
    """Each resource and data source of the provider becomes one that only holds what it was given."""
    held: dict[str, Any] = {}
    for file in sorted(folder.glob("*.tf.json")):
        content = json.loads(file.read_text())
        content.pop("import", None)
        content.pop("provider", None)
        content.get("terraform", {}).pop("required_providers", None)
        for origin in ("resource", "data"):
            for kind, named in content.pop(origin, {}).items():
                held |= {f"{kind}_{name}": holding(kind, given) for name, given in named.items()}
        file.write_text(rewritten(json.dumps(content)))
    file = folder / "stood_in.tf.json"
    items = "${akamai_edgekv_group_items.production.items}"
    worker = "${akamai_edgeworker.edge.name}"
    shown = {"items": {"value": items}, "name": {"value": worker, "sensitive": True}}
    for name, reference in BESIDE.items():
        shown[name] = {"value": f"${{{reference}}}", "sensitive": True}
    file.write_text(rewritten(json.dumps({"resource": {"terraform_data": held}, "output": shown})))


def holding(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: given[name] for name in ("lifecycle", "depends_on", "//") if name in given}
    if "lifecycle" in own:
        own["lifecycle"] = {name: value for name, value in own["lifecycle"].items() if name != "ignore_changes"}
    return {"input": {name: value for name, value in given.items() if name not in own} | COMPUTED.get(kind, {}), **own}


def rewritten(text: str) -> str:
    """Every reference leads to the stand-in."""
    text = re.sub(r"(?:data\.)?(akamai_\w+)\.(\w+)\.(\w+)", r"terraform_data.\1_\2.output.\3", text)
    return re.sub(r'"(akamai_\w+)\.(\w+)"', r'"terraform_data.\1_\2"', text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = laid(tmp_path_factory.mktemp("terraform"))
    stood_in(made)
    (made / "bundle.tgz").write_bytes(pack(state().code))
    (made / "other.tgz").write_bytes(b"another")
    ran(made, "init", "-input=false")
    return made


def test_another_bundle_is_refused_before_anything_is_done(folder: Path) -> None:
    refused = terraform(folder, "plan", "-input=false", "-var", "code_bundle=other.tgz", *GIVEN)
    assert refused.returncode == 1
    assert f"This is not the code bundle of version {state().code_version}." in refused.stderr


def test_what_terraform_would_send_is_what_the_console_would(folder: Path) -> None:
    assert json.loads(ran(folder, "validate", "-json"))["valid"] is True
    told = ran(folder, "apply", "-input=false", "-auto-approve", "-var", "code_bundle=bundle.tgz", *GIVEN)
    found = json.loads(ran(folder, "output", "-json"))
    assert found["items"]["value"] == {key: compact(content) for key, content in state().items.items()}
    assert found["name"]["value"] == "${odd} %{name}", "a name is no template"
    beside = {name: found[name]["value"] for name in BESIDE}
    assert beside == {
        "password": "s3cret",
        "contract": "C-9",
        "version": 4,
        "sync_point": 5,
        "told": ["ops@shop.test"],
    }
    assert found["sallyport_rule"]["value"] == COMPUTED["akamai_property_rules_builder"]["json"]
    order = [
        told.index(f"terraform_data.{name}: Creating")
        for name in (
            "akamai_edgekv_staging",
            "akamai_edgekv_group_items_staging",
            "akamai_edgeworkers_activation_staging",
            "akamai_edgeworkers_activation_production",
        )
    ]
    for name in ("akamai_clientlist_activation_for_api_shop_test", "akamai_networklist_activations_for_shop_test"):
        assert told.index(f"{name}_staging: Creating") < told.index(f"{name}_production: Creating")
    assert order == sorted(order), "items before code, staging before production"
    again = terraform(folder, "plan", "-input=false", "-detailed-exitcode", "-var", "code_bundle=bundle.tgz", *GIVEN)
    assert again.returncode == 0, "a second time there is nothing to do"
