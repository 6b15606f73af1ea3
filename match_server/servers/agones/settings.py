"""The file of MATCH_AGONES: which Agones fleets take matches, and where their Kubernetes API is."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from match_server.config import is_loopback
from match_server.errors import SettingsError
from match_server.protocol import GameModeName
from match_server.servers.provider import FLEET_ID_PREFIX, FLEET_SCHEME

_SETTING = "MATCH_AGONES"
_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # where Kubernetes puts a pod's own credentials
_LABEL = r"[a-z0-9]([a-z0-9-]{0,%d}[a-z0-9])?"

KubernetesName = Annotated[str, StringConstraints(pattern=rf"^{_LABEL % 61}$")]
ShortName = Annotated[str, StringConstraints(pattern=rf"^{_LABEL % 28}$")]  # a label's value, also with a pool's name


class FleetSettings(BaseModel):
    """One `[[fleets]]` of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fleet: KubernetesName
    name: ShortName = ""
    namespace: KubernetesName = "default"
    game_modes: tuple[GameModeName, ...] = Field((), description="Game modes that it takes; empty: all")
    region: Annotated[str, StringConstraints(max_length=64, pattern=r"^[\x20-\x7e]*$")] = ""
    pool: str = Field("", description="The pool that it serves; empty: the first")
    port: str = Field("", description="Name of the port that players connect to; empty: the first")
    counter: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{0,63}$")] = Field(
        "", description="Counter of the sessions on a game server that runs several; empty: each runs one"
    )
    scheduling: Literal["Packed", "Distributed"] = "Packed"
    max_session_seconds: Annotated[float, Field(gt=0, le=604_800, allow_inf_nan=False)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _named_after_its_fleet(cls, table: Any) -> Any:
        return {"name": table["fleet"], **table} if isinstance(table, dict) and "fleet" in table else table

    @property
    def server_id(self) -> str:
        """Under which the fleet stands among the dedicated servers."""
        return f"{FLEET_ID_PREFIX}{self.name}"

    @property
    def url(self) -> str:
        """What stands in the place of a `control_url`."""
        return f"{FLEET_SCHEME}//{self.namespace}/{self.fleet}"


class AgonesSettings(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    api_url: str = Field("", description="Of the Kubernetes API; empty: that of the cluster that the node runs in")
    token_file: Path = _IN_CLUSTER / "token"
    ca_file: Path | None = None
    owner: ShortName = Field("match-server", description="Marks what this match server has allocated")
    poll_seconds: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = 2.0
    fleets: tuple[FleetSettings, ...] = Field(min_length=1, max_length=200)

    @field_validator("api_url")
    @classmethod
    def _guards_its_token(cls, url: str) -> str:
        if url:
            parts = urlsplit(url)
            if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
                raise ValueError("expected https://host:port")
            if parts.scheme == "http" and not is_loopback(parts.hostname):
                raise ValueError("expected https beyond loopback, or the token could be read on the way")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _names_differ(self) -> "AgonesSettings":
        names = [fleet.name for fleet in self.fleets]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"fleets: {', '.join(sorted(twice))}: named twice; give each a name of its own")
        return self

    def of_pool(self, pool: str, pools: Sequence[str]) -> tuple[FleetSettings, ...]:
        """The fleets that serve this one of the pools."""
        return tuple(fleet for fleet in self.fleets if (fleet.pool or pools[0]) == pool)

    def owner_of(self, pool: str) -> str:
        """Marks what this pool has allocated: pools may share a fleet, and leave each other's sessions alone."""
        return f"{self.owner}.{pool}" if pool else self.owner


def read_agones(
    path: Path, *, pools: Sequence[str], server_lease_seconds: float, environment: Mapping[str, str] = os.environ
) -> AgonesSettings:
    """The settings of the file, with the address and certificates of the API filled in.

    Raises:
        SettingsError: one line for each thing that is wrong.
    """
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        read = AgonesSettings.model_validate(tables)
    except OSError as error:
        raise SettingsError(f"{_SETTING}: {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{_SETTING}: {path} is not TOML: {error}") from None
    except ValidationError as error:
        raise SettingsError("\n".join(map(_line, error.errors(include_url=False, include_input=False)))) from None
    wrong = [
        f"fleets: {fleet.name}: pool: no such pool; there is {', '.join(filter(None, pools)) or 'only one'}"
        for fleet in read.fleets
        if fleet.pool and fleet.pool not in pools
    ]
    if read.poll_seconds > server_lease_seconds / 3:
        wrong.append(f"poll_seconds: at most a third of MATCH_SERVER_LEASE_SECONDS, {server_lease_seconds / 3:g}")
    if not read.api_url:
        host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            wrong.append("api_url: must be set where the node runs outside Kubernetes")
        ca_file = read.ca_file or _IN_CLUSTER / "ca.crt"
        shown = f"[{host}]" if ":" in (host or "") else host
        read = read.model_copy(update={"api_url": f"https://{shown}:{port}", "ca_file": ca_file})
    wrong += [
        f"{name}: {file} is not a file"
        for name, file in (("token_file", read.token_file), ("ca_file", read.ca_file))
        if file and not file.is_file()
    ]
    if wrong:
        raise SettingsError("\n".join(f"{_SETTING}: {line}" for line in wrong))
    return read


def _line(detail: Any) -> str:
    where = ".".join(map(str, detail["loc"]))
    return f"{_SETTING}: {where + ': ' if where else ''}{detail['msg'].removeprefix('Value error, ')}"
