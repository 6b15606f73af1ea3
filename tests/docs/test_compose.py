"""compose.yaml, as far as that can be told without a Docker engine: against the programs and files that it names."""

import re
import shlex
import tomllib
from typing import Any

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from sqlalchemy import make_url
from typer.main import get_command

import dedicated_server_stub.cli
import match_server.cli
import test_client.cli
from match_server.config import Settings, variable
from match_server.platform.service import Platform
from tests.docs.markdown import ROOT, read

COMPOSE: dict[str, Any] = yaml.safe_load(read("compose.yaml"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "match-server"}
NODES = {name for name, service in OURS.items() if "command" not in service}
COMMANDS: dict[str, typer.Typer] = {
    "match-server": match_server.cli.app,
    "dedicated-server-stub": dedicated_server_stub.cli.app,
    "test-client": test_client.cli.app,
}


def check_options(command: str) -> dict[str, str]:
    """The options of a command line, each of which the program must have."""
    program, *arguments = shlex.split(command)
    called: Any = get_command(COMMANDS[program])
    if arguments[0] in getattr(called, "commands", {}):
        called = called.commands[arguments.pop(0)]
    known = {option for parameter in called.params for option in parameter.opts}
    values = [*arguments[1:], ""]
    options = {name: value for name, value in zip(arguments, values, strict=True) if name.startswith("--")}
    assert options.keys() <= known
    return options


def test_it_has_what_it_says() -> None:
    assert len(NODES) == 2
    servers = [name for name, service in OURS.items() if "dedicated-server-stub" in service.get("command", "")]
    assert len(servers) == 2
    assert set(SERVICES) == {*OURS, "balancer", "redis", "postgres", "kafka", "prometheus"}
    assert SERVICES["players"]["profiles"] == ["players"]
    for service in SERVICES.values():
        assert ":" in service["image"] or service["image"] == "match-server", "other people's images have a version"


@pytest.mark.parametrize("name", OURS)
def test_our_services_fit_our_programs(name: str) -> None:
    service = OURS[name]
    assert service["build"] == "."
    assert set(service["environment"]) <= {variable(setting) for setting in Settings.model_fields}
    if "command" in service:
        options = check_options(service["command"])
        for url in re.findall(r"(?:http|ws)://([\w-]+):(\d+)", service["command"]):
            own = options.get("--port")
            assert url in {("balancer", "8080"), ("balancer", "8081"), (name, own), ("127.0.0.1", own)}


@pytest.mark.parametrize("name", sorted(NODES))
def test_a_node_would_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the defaults of its variables, the settings are valid, and the stop fits into the grace period."""
    for key, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(key, re.sub(r"\$\{\w+:-(.*)\}", r"\1", str(value)))
    settings = Settings(_env_file=None)
    assert settings.stop_seconds < int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert settings.max_connections < SERVICES[name]["ulimits"]["nofile"]
    subnet = COMPOSE["networks"]["default"]["ipam"]["config"][0]["subnet"]
    assert [str(network) for network in settings.server_networks] == [subnet]
    assert [str(network) for network in settings.trusted_proxies] == [subnet]


def test_the_platform_would_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in SERVICES["platform"]["environment"].items():
        monkeypatch.setenv(key, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)))
    settings = Settings(_env_file=None)
    Platform(settings)
    url = make_url(settings.database_url)
    postgres = SERVICES["postgres"]["environment"]
    assert (url.host, url.username, url.database) == ("postgres", postgres["POSTGRES_USER"], postgres["POSTGRES_USER"])
    assert (
        SERVICES["platform"]["environment"]["MATCH_DATABASE_URL"].split("@")[0].endswith(postgres["POSTGRES_PASSWORD"])
    )
    assert SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{settings.kafka_brokers}"
    assert SERVICES["platform"]["ports"] == [f"127.0.0.1:{settings.platform_port}:{settings.platform_port}"]
    assert "[platform]" in read("Dockerfile"), "the drivers are in the image"


def test_ports_are_published_on_loopback_alone() -> None:
    for service in SERVICES.values():
        for port in service.get("ports", ()):
            assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)


def test_dependencies_and_files_exist() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).is_file(), source


def test_balancer_and_prometheus_know_the_nodes() -> None:
    balanced = re.findall(r"^    server (\S+) (\S+)$", read("deploy/haproxy.cfg"), re.MULTILINE)
    assert balanced == [(name, f"{name}:{port}") for port in (8080, 8081) for name in sorted(NODES)]
    prometheus = yaml.safe_load(read("deploy/prometheus.yml"))
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in prometheus["scrape_configs"]}
    assert targets == {
        "match-server": [f"{name}:8081" for name in sorted(NODES)],
        "match-platform": [f"platform:{Settings.model_fields['platform_port'].default}"],
    }
    mounted = {volume.split(":")[1] for volume in SERVICES["prometheus"]["volumes"]}
    assert {f"/etc/prometheus/{name}" for name in prometheus["rule_files"]} < mounted


def test_the_image_takes_what_the_wheel_is_made_of() -> None:
    allowed = set(re.findall(r"^!(\S+)$", read(".dockerignore"), re.MULTILINE))
    copied = {
        word for line in re.findall(r"^COPY (.*)$", read("Dockerfile"), re.MULTILINE) for word in line.split()[:-1]
    }
    assert copied == allowed
    assert {name for name in copied if (ROOT / name).is_dir()} == {
        "match_server",
        "test_client",
        "dedicated_server_stub",
        "lua",
    }


def test_the_image_has_the_pinned_versions_of_every_library() -> None:
    assert "--constraint constraints.txt" in read("Dockerfile")
    pins = [Requirement(line) for line in read("constraints.txt").splitlines() if not line.startswith("#")]
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    for wanted in map(Requirement, [*project["dependencies"], *extras["kafka"], *extras["mysql"], *extras["postgres"]]):
        versions = [str(pin.specifier).removeprefix("==") for pin in pins if pin.name == wanted.name]
        assert versions, f"{wanted.name} has no pin: see the command in constraints.txt"
        assert all(wanted.specifier.contains(version) for version in versions), wanted
