"""The file of MATCH_WEBHOOKS: who is told of which events."""

import base64
import binascii
import hashlib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError, field_validator

from match_server.errors import SettingsError
from match_server.events.data import EVENTS
from match_server.servers.addresses import NameUnresolved, UrlRefused, check_url
from match_server.setting_types import Network

log = structlog.get_logger(__name__)

NETWORKS_SETTING = "MATCH_WEBHOOK_NETWORKS"
_SETTING = "MATCH_WEBHOOKS"
_TYPES = {data.type for data in EVENTS}
_SECRET_BYTES = range(24, 65)  # as Standard Webhooks asks


class Webhook(BaseModel):
    """One `[[webhooks]]` of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    secret: SecretStr = Field(description="`whsec_` and 24 to 64 bytes in base64")
    types: list[str] = Field([], description="Types of events; empty: all")
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")] = ""

    @field_validator("secret")
    @classmethod
    def _form_of_secret(cls, secret: SecretStr) -> SecretStr:
        kind, _, text = secret.get_secret_value().partition("_")
        try:
            length = len(base64.b64decode(text, validate=True))
        except binascii.Error:
            length = 0
        if kind != "whsec" or length not in _SECRET_BYTES:
            raise ValueError("expected whsec_ and 24 to 64 bytes in base64")
        return secret

    @field_validator("types")
    @classmethod
    def _known_types(cls, types: list[str]) -> list[str]:
        if unknown := sorted(set(types) - _TYPES):
            raise ValueError(f"no such types of events: {', '.join(unknown)}")
        return types

    @property
    def sink(self) -> str:
        """The name of its sink: stays the same as long as its name, or its URL, does."""
        return f"webhook-{self.name or hashlib.sha256(self.url.encode()).hexdigest()[:8]}"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    webhooks: list[Webhook] = Field([], max_length=100)


def read_webhooks(path: Path) -> list[Webhook]:
    """The webhooks of the file.

    Raises:
        SettingsError: one line for each thing that is wrong.
    """
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        webhooks = _File.model_validate(tables).webhooks
    except OSError as error:
        raise SettingsError(f"{_SETTING}: {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{_SETTING}: {path} is not TOML: {error}") from None
    except ValidationError as error:
        lines = [
            f"{_SETTING}: {'.'.join(map(str, each['loc']))}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors(include_url=False, include_input=False)
        ]
        raise SettingsError("\n".join(lines)) from None
    names = [webhook.sink for webhook in webhooks]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SettingsError(f"{_SETTING}: {', '.join(sorted(twice))}: named twice")
    return webhooks


async def check_urls(webhooks: Sequence[Webhook], networks: Sequence[Network]) -> None:
    """Check where the calls of these webhooks, all of the file, will go.

    A name that does not resolve now may do so later.

    Raises:
        SettingsError: one line for each URL that will never be called.
    """
    refused = []
    for number, webhook in enumerate(webhooks):
        try:
            await check_url(webhook.url, networks, setting=NETWORKS_SETTING)
        except NameUnresolved as error:
            log.warning("webhook_unresolved", sink=webhook.sink, error=str(error))
        except UrlRefused as error:
            refused.append(f"{_SETTING}: webhooks.{number}.url: {error}")
    if refused:
        raise SettingsError("\n".join(refused))
