"""Calls of the Kubernetes API: one deadline and one size limit each, no redirects, no proxies."""

import asyncio
import os
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import httpx
from pydantic_core import to_json

from match_server.errors import SettingsError
from match_server.servers.provider import CALLS_TO_A_FLEET

_LIMIT_BYTES = 32 * 1024 * 1024  # a page of 500 game servers with all that Kubernetes notes of them
_CONNECTIONS = 2  # of one transport
_TOKEN_SECONDS = 60.0  # Kubernetes writes a new token to the file before the old one ends
_SAID_CHARACTERS = 200

Json: TypeAlias = Mapping[str, Any]


class ApiUnavailable(Exception):
    """No answer; the call may have been carried out. The text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered."""

    status: int
    content: bytes
    retry_after_seconds: float = 0

    @property
    def said(self) -> str:
        """The status and the beginning of what came with it, for the log."""
        text = self.content[: 4 * _SAID_CHARACTERS].decode(errors="replace")
        cleaned = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return f"the Kubernetes API answers {self.status}: {cleaned[:_SAID_CHARACTERS]}"


@dataclass(slots=True)
class _Transport:
    """A few connections, and how many calls use them now."""

    http: httpx.AsyncHTTPTransport
    calls: int = 0


class KubernetesApi:
    """The API of one cluster, with the token of a service account."""

    def __init__(self, *, url: str, token_file: Path, ca_file: Path | None, timeout_seconds: float) -> None:
        """`timeout_seconds` bounds a whole call. The token is read from its file again and again, for it changes.

        Raises:
            SettingsError: `ca_file` has no certificates.
        """
        self._url = url
        self._token_file = token_file
        self._timeout_seconds = timeout_seconds
        self._token = ""
        self._token_until = 0.0
        try:
            certificates = ssl.create_default_context(cafile=ca_file)
        except (ssl.SSLError, OSError) as error:
            raise SettingsError(f"MATCH_AGONES: ca_file: {ca_file} has no certificates: {error}") from None
        # Transports without a client around them, and many with few connections each, take the least CPU for a call.
        limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
        self._transports = [
            _Transport(httpx.AsyncHTTPTransport(verify=certificates, trust_env=False, limits=limits))
            for _ in range(CALLS_TO_A_FLEET // _CONNECTIONS)
        ]

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in self._transports:
            await transport.http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | Sequence[Json] | None = None,
        kind: str = "application/json",
    ) -> Answer:
        """One call. `kind` is the type of `body`.

        Raises:
            ApiUnavailable: no answer in time.
        """
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if body is not None:
            headers["Content-Type"] = kind
        transport = min(self._transports, key=lambda transport: transport.calls)
        transport.calls += 1
        try:
            headers["Authorization"] = f"Bearer {self._current_token()}"
            async with asyncio.timeout(self._timeout_seconds):
                content = to_json(body) if body is not None else None
                url = _parsed_url(self._url + path)
                request = httpx.Request(method, url, params=query, content=content, headers=headers)
                response = await transport.http.handle_async_request(request)
                try:
                    received = await _read(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise ApiUnavailable(f"no answer of the Kubernetes API within {self._timeout_seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeDecodeError) as error:
            raise ApiUnavailable(f"the Kubernetes API cannot be reached: {_in_words(error)}") from None
        finally:
            transport.calls -= 1
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._token_until = 0.0  # another may be in the file
        return Answer(response.status_code, received, _retry_after(response))

    def _current_token(self) -> str:
        now = asyncio.get_running_loop().time()
        if now >= self._token_until:
            token = self._token_file.read_text(encoding="ascii").strip()
            if not _TOKEN.fullmatch(token):  # refused as a header, it would stand in the error's words
                raise ApiUnavailable(f"{self._token_file}: expected one token of printable characters")
            self._token = token
            self._token_until = now + _TOKEN_SECONDS
        return self._token


_TOKEN = re.compile("[!-~]+")


@lru_cache(maxsize=256)
def _parsed_url(url: str) -> httpx.URL:
    return httpx.URL(url)


async def _read(response: httpx.Response) -> bytes:
    parts: list[bytes] = []
    left = _LIMIT_BYTES
    async for chunk in response.aiter_raw():
        left -= len(chunk)
        if left < 0:
            raise ApiUnavailable(f"the answer of the Kubernetes API is larger than {_LIMIT_BYTES} bytes")
        parts.append(chunk)
    return b"".join(parts)


def _retry_after(response: httpx.Response) -> float:
    """The seconds that the API asks for; it never sends a date."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def _in_words(error: Exception) -> str:
    """As httpx says it, with the reason that it keeps among the causes. No header of ours is in there."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno:
            return f"{error}: {os.strerror(cause.errno)}" if cause is not error else str(error)
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__
