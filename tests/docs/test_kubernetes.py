"""deploy/kubernetes, as far as that can be told without a cluster: against Kubernetes' schemas and what it names."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.main import get_command

import match_server.cli
from match_server.config import Settings, load_settings, variable
from match_server.servers.agones.settings import read_agones
from tests.docs.markdown import ROOT, read

FOLDER = "deploy/kubernetes"
WITH_AGONES = "deploy/kubernetes-agones"
VERSION = "1.31"  # the oldest that the manifests are for: the sleep of preStop is a field since 1.30
KUSTOMIZATION: dict[str, Any] = yaml.safe_load(read(f"{FOLDER}/kustomization.yaml"))
SETTINGS = dict(
    line.split("=", 1) for line in read(f"{FOLDER}/settings.env").splitlines() if line and not line.startswith("#")
)
NODE_PORTS = {"players": int(SETTINGS["MATCH_PORT"]), "admin": int(SETTINGS["MATCH_ADMIN_PORT"])}


@cache
def written() -> dict[str, dict[str, Any]]:
    """The objects as they stand in the files, by kind and name."""
    found = [
        document for name in KUSTOMIZATION["resources"] for document in yaml.safe_load_all(read(f"{FOLDER}/{name}"))
    ]
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in found}


POD: dict[str, Any] = written()["Deployment/match-server"]["spec"]["template"]["spec"]
(NODE,) = POD["containers"]


@cache
def rendered(folder: str = FOLDER) -> list[dict[str, Any]]:
    """What kustomize makes of the folder."""
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("kubectl is not there")
    made = subprocess.run([kubectl, "kustomize", ROOT / folder], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


def test_every_object_fits_the_schema_of_kubernetes() -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not there")
    assert len(rendered()) == len(written()) + 2, "and the two maps of settings"
    for one in rendered():
        validator.validate(one, VERSION, strict=True)


def test_every_object_with_agones_fits_the_schema_of_kubernetes() -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not there")
    for one in rendered(WITH_AGONES):
        validator.validate(one, VERSION, strict=True)


def test_with_agones_the_nodes_have_the_file_and_the_rights_that_their_calls_need(tmp_path: Path) -> None:
    made = {f"{one['kind']}/{one['metadata']['name']}": one for one in rendered(WITH_AGONES)}
    pod = made["Deployment/match-server"]["spec"]["template"]["spec"]
    account = made[f"ServiceAccount/{pod['serviceAccountName']}"]["metadata"]
    assert pod["automountServiceAccountToken"]
    role, binding = made["Role/match-server"], made["RoleBinding/match-server"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    ]
    rights = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert rights == {
        ("allocation.agones.dev", "gameserverallocations", "create"),
        ("agones.dev", "gameservers", "list"),
        ("agones.dev", "gameservers", "delete"),
        ("agones.dev", "gameservers", "patch"),
        ("agones.dev", "fleets", "get"),
    }
    (node,) = pod["containers"]
    mounted = {mount["name"]: mount["mountPath"] for mount in node["volumeMounts"]}
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "agones"]
    settings = made[f"ConfigMap/{volume['configMap']['name']}"]
    assert {"name": "MATCH_AGONES", "value": f"{mounted['agones']}/agones.toml"} in node["env"]
    token, ca_file = tmp_path / "token", tmp_path / "ca.crt"
    token.touch()
    ca_file.touch()
    path = tmp_path / "agones.toml"
    path.write_text(f'token_file = "{token}"\nca_file = "{ca_file}"\n{settings["data"]["agones.toml"]}')
    read = read_agones(path, pools=("",), server_lease_seconds=15, environment={"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert {fleet.namespace for fleet in read.fleets} == {role["metadata"]["namespace"]}


def test_what_names_each_other_fits_once_it_is_rendered() -> None:
    made = {f"{one['kind']}/{one['metadata']['name']}": one for one in rendered()}
    labels = made["Deployment/match-server"]["spec"]["template"]["metadata"]["labels"]
    for kind in ("Service/players", "Service/admin"):
        assert made[kind]["spec"]["selector"].items() <= labels.items()
    disruption = made["PodDisruptionBudget/match-server"]["spec"]
    assert disruption["selector"]["matchLabels"].items() <= labels.items()
    spread = made["Deployment/match-server"]["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert all(one["labelSelector"]["matchLabels"].items() <= labels.items() for one in spread)
    target = made["HorizontalPodAutoscaler/match-server"]["spec"]["scaleTargetRef"]
    assert f"{target['kind']}/{target['name']}" in made
    assert "replicas" not in made["Deployment/match-server"]["spec"], "an apply would undo the autoscaler"
    named = json.dumps(made["Deployment/match-server"])
    for kind in made:
        if kind.startswith("ConfigMap/"):
            assert f'"{kind.removeprefix("ConfigMap/")}"' in named


def test_the_settings_are_settings_with_which_a_node_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS.items():
        assert name in {variable(known) for known in Settings.model_fields}
        monkeypatch.setenv(name, value)
    keys = re.findall(r"--from-literal=(\w+)=(\S+)", read(f"{FOLDER}/kustomization.yaml"))
    assert {name for name, _ in keys} == {"MATCH_REDIS_URL", "MATCH_SERVER_KEY", "MATCH_ADMIN_KEY"}
    for name, value in keys:
        monkeypatch.setenv(name, value)
    mount = NODE["volumeMounts"][0]["mountPath"]
    assert SETTINGS["MATCH_CONFIG"] == f"{mount}/modes.toml"
    monkeypatch.setenv("MATCH_CONFIG", str(ROOT / FOLDER / "modes.toml"))
    settings = load_settings()
    assert [mode.name for mode in settings.game_modes] == ["Normal_1v1"]


def test_the_command_has_its_options() -> None:
    program, *arguments = NODE["command"]
    assert program == "match-server"
    app: typer.Typer = match_server.cli.app
    known = {option for parameter in get_command(app).params for option in parameter.opts}
    assert {argument for argument in arguments if argument.startswith("--")} <= known


def test_ports_and_probes_are_those_of_the_listeners() -> None:
    assert {port["name"]: port["containerPort"] for port in NODE["ports"]} == NODE_PORTS
    assert (
        NODE["livenessProbe"]["httpGet"] == NODE["startupProbe"]["httpGet"] == {"path": "/healthz", "port": "players"}
    )
    assert NODE["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}
    for name in NODE_PORTS:
        (port,) = written()[f"Service/{name}"]["spec"]["ports"]
        assert port["targetPort"] == name


def test_a_stop_has_the_time_that_it_takes() -> None:
    before = NODE["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert before + float(SETTINGS["MATCH_STOP_SECONDS"]) < POD["terminationGracePeriodSeconds"]


def test_the_autoscaler_asks_for_a_metric_that_is_there_and_leaves_room() -> None:
    (metric,) = written()["HorizontalPodAutoscaler/match-server"]["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"]
    assert f"| `{name}` | gauge |" in read("docs/operations.md")
    assert int(metric["pods"]["target"]["averageValue"]) <= int(SETTINGS["MATCH_MAX_CONNECTIONS"]) / 2
