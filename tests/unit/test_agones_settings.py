"""The file of MATCH_AGONES: what it may say, and what is said of a mistake in it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from match_server.errors import SettingsError
from match_server.servers.agones.settings import AgonesSettings, read_agones

OUTSIDE = 'api_url = "https://10.0.0.1:6443"\ntoken_file = "{}"\n'


def read(
    folder: Path, text: str, *, pools: tuple[str, ...] = ("",), environment: Mapping[str, str] | None = None
) -> AgonesSettings:
    token = folder / "token"
    token.write_text("secret-token")
    path = folder / "agones.toml"
    path.write_text(text.replace("{}", str(token)))
    return read_agones(path, pools=pools, server_lease_seconds=15, environment=environment or {})


def test_a_fleet_needs_no_more_than_its_name(tmp_path: Path) -> None:
    (fleet,) = read(tmp_path, OUTSIDE + '[[fleets]]\nfleet = "duel"').fleets
    assert (fleet.server_id, fleet.url, fleet.game_modes) == ("agones-duel", "agones://default/duel", ())


def test_in_a_cluster_the_api_is_where_kubernetes_says(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.crt"
    ca_file.touch()
    text = f'token_file = "{{}}"\nca_file = "{ca_file}"\n[[fleets]]\nfleet = "duel"'
    inside = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    assert read(tmp_path, text, environment=inside).api_url == "https://[fd00::1]:6443"


def test_each_pool_has_its_own_fleets_and_its_own_mark(tmp_path: Path) -> None:
    text = OUTSIDE + '[[fleets]]\nfleet = "duel"\n[[fleets]]\nfleet = "duel"\nname = "duel-us"\npool = "us"'
    settings = read(tmp_path, text, pools=("eu", "us"))
    assert [fleet.name for fleet in settings.of_pool("eu", ("eu", "us"))] == ["duel"]
    assert [fleet.name for fleet in settings.of_pool("us", ("eu", "us"))] == ["duel-us"]
    assert (settings.owner_of("us"), settings.owner_of("")) == ("match-server.us", "match-server")


DUEL = '[[fleets]]\nfleet = "duel"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[fleets]", "agones.toml is not TOML"),
        (OUTSIDE, "fleets: Field required"),
        (OUTSIDE + "[[fleets]]", "fleets.0.fleet: Field required"),
        (OUTSIDE + '[[fleets]]\nfleet = "Duel"', "fleets.0.fleet: String should match"),
        (OUTSIDE + DUEL + "colour = 1", "fleets.0.colour: Extra inputs are not permitted"),
        (OUTSIDE + DUEL + DUEL, "fleets: duel: named twice; give each a name of its own"),
        (OUTSIDE + DUEL + 'pool = "us"', "fleets: duel: pool: no such pool; there is only one"),
        (OUTSIDE + DUEL + 'game_modes = ["a b"]', "fleets.0.game_modes.0: String should match"),
        (OUTSIDE + "poll_seconds = 6\n" + DUEL, "poll_seconds: at most a third of MATCH_SERVER_LEASE_SECONDS, 5"),
        (OUTSIDE.replace("https", "http") + DUEL, "api_url: expected https beyond loopback"),
        (OUTSIDE.replace("https://", "https://me@") + DUEL, "api_url: expected https://host:port"),
        (OUTSIDE.replace("{}", "/no/token") + DUEL, "token_file: /no/token is not a file"),
        ('token_file = "{}"\n' + DUEL, "api_url: must be set where the node runs outside Kubernetes"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, text)
    (line,) = [line for line in str(refused.value).splitlines() if said in line]
    assert line.startswith("MATCH_AGONES: ")
    assert "secret-token" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"agones\.toml cannot be read: No such file"):
        read_agones(tmp_path / "agones.toml", pools=("",), server_lease_seconds=15)
