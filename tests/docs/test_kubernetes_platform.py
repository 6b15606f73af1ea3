"""deploy/kubernetes/platform, as far as that can be told without a cluster."""

import json
import re
import shutil
import subprocess
from functools import cache
from typing import Any

import pytest
import yaml
from typer.main import get_command

import match_server.cli
from match_server.config import Settings, load_settings, variable
from match_server.platform.service import Platform
from tests.docs.markdown import ROOT, read
from tests.docs.test_kubernetes import VERSION

FOLDER = "deploy/kubernetes/platform"
SETTINGS = dict(
    line.split("=", 1) for line in read(f"{FOLDER}/settings.env").splitlines() if line and not line.startswith("#")
)
DEPLOYMENT, SERVICE = yaml.safe_load_all(read(f"{FOLDER}/platform.yaml"))
(CONTAINER,) = DEPLOYMENT["spec"]["template"]["spec"]["containers"]


@cache
def rendered(folder: str = FOLDER) -> dict[str, dict[str, Any]]:
    """What kustomize makes of a folder, by kind and name."""
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("kubectl is not there")
    made = subprocess.run([kubectl, "kustomize", ROOT / folder], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in yaml.safe_load_all(made.stdout)}


def test_every_object_fits_the_schema_of_kubernetes() -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not there")
    assert len(rendered()) == 3, "and the map of settings"
    for one in rendered().values():
        validator.validate(one, VERSION, strict=True)


def test_it_is_apart_from_the_nodes() -> None:
    """Players and dedicated servers must never be sent to the platform, nor operators of the past to a node."""
    nodes = rendered("deploy/kubernetes")
    of_node = nodes["Deployment/match-server"]["spec"]["template"]["metadata"]["labels"].items()
    of_platform = rendered()["Deployment/match-platform"]["spec"]["template"]["metadata"]["labels"].items()
    assert rendered()["Service/platform"]["spec"]["selector"].items() <= of_platform
    assert not rendered()["Service/platform"]["spec"]["selector"].items() <= of_node
    for name in ("players", "admin"):
        assert not nodes[f"Service/{name}"]["spec"]["selector"].items() <= of_platform
    assert not rendered().keys() & nodes.keys()
    (settings,) = (name for name in rendered() if name.startswith("ConfigMap/"))
    assert f'"{settings.removeprefix("ConfigMap/")}"' in json.dumps(rendered()["Deployment/match-platform"])


def test_the_platform_would_start(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = dict(re.findall(r"--from-literal=(\w+)=(\S+)", read(f"{FOLDER}/kustomization.yaml")))
    assert keys.keys() == {"MATCH_REDIS_URL", "MATCH_DATABASE_URL", "MATCH_ADMIN_KEY"}
    assert keys["MATCH_DATABASE_URL"].startswith("postgresql+asyncpg://"), "two of them cannot share a file"
    for name, value in (SETTINGS | keys).items():
        assert name in {variable(known) for known in Settings.model_fields}
        monkeypatch.setenv(name, value)
    settings = load_settings()
    Platform(settings)
    assert [port["containerPort"] for port in CONTAINER["ports"]] == [settings.platform_port]
    (port,) = SERVICE["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (settings.platform_port, CONTAINER["ports"][0]["name"])


def test_the_command_has_its_options() -> None:
    program, command, *arguments = CONTAINER["command"]
    assert program == "match-server"
    called: Any = get_command(match_server.cli.app)
    known = {option for parameter in called.commands[command].params for option in parameter.opts}
    assert {argument for argument in arguments if argument.startswith("--")} <= known
