"""Where a dedicated server may be: what comes from outside becomes a URL only after these checks."""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from match_server.errors import RegistrationRefused
from match_server.setting_types import Network

_BRACKETED = re.compile(r"\[[0-9A-Fa-f:.]+\](:\d+)?")
_BARE = re.compile(r"[^\[\]:%]+(:\d+)?")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_RESOLVE_SECONDS = 3.0


class UrlRefused(Exception):
    """No calls go to this URL; the text says why."""


class NameUnresolved(UrlRefused):
    """Its host has no address now; it may have one later."""


class Endpoint(NamedTuple):
    """A checked `control_url`: where calls go, and the name that they carry."""

    url: str  # scheme, IP address, port and path
    host: str  # as the server wrote it, with its port: for the Host header and the certificate


async def check_control_url(control_url: str, networks: Sequence[Network]) -> Endpoint:
    """Resolve a `control_url` once, so that no later change of a name leads calls elsewhere.

    Returns:
        Where calls go, without a slash at the end.

    Raises:
        RegistrationRefused: see `check_url`.
    """
    try:
        endpoint = await check_url(control_url, networks, setting="MATCH_SERVER_NETWORKS")
    except UrlRefused as error:
        raise RegistrationRefused(f"control_url: {error}") from None
    return endpoint._replace(url=endpoint.url.rstrip("/"))


async def check_url(url: str, networks: Sequence[Network], *, setting: str) -> Endpoint:
    """Resolve a URL that calls may go to; `setting` is what says which `networks` those are.

    Raises:
        UrlRefused: not http or https, an odd spelling of a host, or an address outside `networks`.
        NameUnresolved: the host is a name, and resolvers know no address of it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UrlRefused("expected http://host:port or https://host:port") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UrlRefused("expected http://host:port or https://host:port")
    if parts.username is not None or parts.query or parts.fragment or not url.isascii():
        raise UrlRefused("expected no user, query or fragment, and ASCII only")
    if any(character <= " " or character in "\\\x7f" for character in url):
        raise UrlRefused("expected no spaces, control characters or backslashes")
    bracketed = _BRACKETED.fullmatch(parts.netloc) is not None
    if port == 0 or not (bracketed or _BARE.fullmatch(parts.netloc)):
        raise UrlRefused("expected a host, and a port from 1 to 65535 or none")
    address = await _address(
        parts.hostname, port or (443 if parts.scheme == "https" else 80), bracketed, networks, setting
    )
    host = f"[{address}]" if address.version == 6 else str(address)
    netloc = f"{host}:{port}" if port is not None else host
    return Endpoint(url=f"{parts.scheme}://{netloc}{parts.path}", host=parts.netloc)


async def _address(
    host: str, port: int, bracketed: bool, networks: Sequence[Network], setting: str
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    for candidate in await _candidates(host, port, bracketed):
        if any(candidate in network for network in networks):
            return candidate
    raise UrlRefused(f"its host is outside {setting} ({', '.join(map(str, networks))})")


async def _candidates(host: str, port: int, bracketed: bool) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        if bracketed:
            return [ipaddress.IPv6Address(host)]
        if re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", host):
            return [ipaddress.IPv4Address(host)]
    except ValueError:
        raise UrlRefused("its host is not an address") from None
    labels = host.removesuffix(".").split(".")
    # `2130706433`, `127.1` and `0x7f.1` are spellings of an address that resolvers take and readers overlook: a name's
    # last label is no number (as in the URL standard, "ends in a number").
    if not all(_LABEL.fullmatch(label) for label in labels) or re.fullmatch(r"\d+|0[xX][0-9a-fA-F]*", labels[-1]):
        raise UrlRefused("its host must be a dotted quad, a bracketed IPv6 address or a DNS name with a letter in it")
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        raise NameUnresolved(f"the name {host} does not resolve") from None
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
