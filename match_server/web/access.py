"""Who may connect: bearer keys of servers and operators, origins of browsers, proxies."""

import hmac
import ipaddress
import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.requests import Request

from match_server.config import Settings
from match_server.events.node import Events, OperatorRefused
from match_server.setting_types import ADMIN_LABEL, Network, OperatorKey, Role
from match_server.web.operator_sessions import COOKIE, OperatorSessions, Session
from match_server.web.problems import Refused

CSRF_HEADER = "X-CSRF-Token"
_PORT = re.compile(r":\d+$")
_READING = {"GET", "HEAD"}
_OWN_SITE = {"none", "same-origin"}  # a call that the user made, or a page of this very origin
_FORMS = {"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"}  # of a page's form


def bearer(headers: Headers) -> str:
    """The token of an `Authorization: Bearer` header, or an empty string."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def key_matches(headers: Headers, key: SecretStr) -> bool:
    """Whether the caller has the key, compared in constant time; an empty key asks for none."""
    expected = key.get_secret_value()
    return not expected or hmac.compare_digest(bearer(headers).encode(), expected.encode())


def authorize(request: Request, key: SecretStr, setting: str, allowed_origins: Sequence[str]) -> None:
    """Let a call through that brings the key of this setting.

    Where no key is set, a web page that somebody on this machine looks at must not change anything: a page may send a
    form to any address.

    Raises:
        Refused: 401 without the key; 403 or 415 for what only a page sends.
    """
    if not key_matches(request.headers, key):
        raise Refused(401, f"Authorization: expected Bearer and {setting}")
    if key.get_secret_value() or request.method in _READING:
        return
    if reason := why_origin_refused(request.headers, allowed_origins):
        raise Refused(403, reason)
    if "origin" in request.headers and (reason := why_host_refused(request.headers, allowed_origins)):
        raise Refused(403, reason)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type in _FORMS:
        raise Refused(415, f"Content-Type: expected application/json, not {content_type}")


class Operator(NamedTuple):
    """Who makes a call of operators. `session` is that of a browser which has logged in."""

    label: str  # of the key
    role: Role
    session: Session | None = None


class OperatorAccess:
    """Which operator a call comes from, and whether its key lets it do that.

    A program brings its key as a bearer token. The dashboard's page brings the cookie of its session instead and, with
    each change, the token that belongs to it: another page can make a browser send the cookie, and never the token.
    """

    def __init__(self, settings: Settings, events: Events, *, query: Sequence[str] = ()) -> None:
        """`query` are the parameters of a query that every call may have. Wrong keys are recorded."""
        self._events = events
        self._query = query
        self._origins = settings.allowed_origins
        self._keys = list(settings.admin_keys)
        if settings.admin_key.get_secret_value():
            self._keys.append(OperatorKey(ADMIN_LABEL, settings.admin_key, "operate"))
        self.sessions = OperatorSessions({each.label: each.key for each in self._keys})

    @property
    def keyless(self) -> bool:
        """Whether no key is set, so that everybody who reaches the node is an operator."""
        return not self._keys

    def authorize(self, request: Request, *query: str) -> str:
        """Let a call through. Returns the label of its key; where none is set, that of anybody who can connect.

        `query` are the parameters that this call may have: one that is misspelt would be left out in silence, and a
        change would be made in the first pool.

        Raises:
            Refused: 401 without a key; 403 for a change with a key that may only read; 422 for a parameter that is
                not known. See also `operator`.
        """
        operator = self.operator(request)
        self._check_query(request, query)
        if request.method in _READING:
            return operator.label
        if operator.role != "operate":
            reason = f"the key {operator.label} may only read; a change needs one with the role operate"
            raise self.refused(request, 403, reason)
        if operator.session:
            self.check_page(request)
            if not hmac.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), operator.session.csrf.encode()):
                raise Refused(403, f"{CSRF_HEADER}: expected the token of this session")
        return operator.label

    def _check_query(self, request: Request, query: Sequence[str]) -> None:
        known = [*query, *self._query]
        if unknown := [name for name in request.query_params if name not in known]:
            expected = f"expected {', '.join(known)}" if known else "this call takes none"
            raise Refused(422, f"{unknown[0][:64]}: no such parameter; {expected}")

    def operator(self, request: Request) -> Operator:
        """Who makes this call.

        Raises:
            Refused: 401 without a key; 403 or 415 for what only another page sends.
        """
        if self.keyless:
            if reason := why_host_refused(request.headers, self._origins):
                raise Refused(403, reason)
            self.check_page(request)
            authorize(request, SecretStr(""), "", self._origins)
            return Operator("anybody", "operate")
        cookie, shown = request.cookies.get(COOKIE), bearer(request.headers)
        if cookie and not shown:  # a proxy in front may have its own `Authorization: Basic`
            self.check_page(request)
            session = self.sessions.read(cookie)
            found = next((each for each in self._keys if session and each.label == session.label), None)
        else:
            session, found = None, self.key_of(shown)
        if found is None:
            reason = "Authorization: expected Bearer and MATCH_ADMIN_KEY, or one of MATCH_ADMIN_KEYS"
            raise self.refused(request, 401, reason) if shown or cookie else Refused(401, reason)
        return Operator(found.label, found.role, session)

    def refused(self, request: Request, status: int, reason: str) -> Refused:
        """What a call with a wrong key is answered with; it is recorded."""
        self._events.record(OperatorRefused(status, reason, request.client.host if request.client else None))
        return Refused(status, reason)

    def key_of(self, text: str) -> OperatorKey | None:
        """The operators' key that somebody has shown, compared in constant time."""
        same = [hmac.compare_digest(text.encode(), each.key.get_secret_value().encode()) for each in self._keys]
        return next((each for each, is_same in zip(self._keys, same, strict=True) if is_same), None)

    def check_page(self, request: Request) -> None:
        """Refuse what a browser sends for a page of another origin, be it to read or to change.

        Raises:
            Refused: 403.
        """
        if reason := why_origin_refused(request.headers, self._origins):
            raise Refused(403, reason)
        loaded = "origin" not in request.headers and request.headers.get("sec-fetch-mode") != "navigate"
        if loaded and request.headers.get("sec-fetch-site", "none") not in _OWN_SITE:
            raise Refused(403, "Sec-Fetch-Site: expected none or same-origin: another page asks")


def origin_allowed(headers: Headers, allowed: Sequence[str]) -> bool:
    """Whether a browser's page may connect: none named (no browser), the same host, or a configured origin."""
    origin = headers.get("origin")
    if origin is None:
        return True
    if origin in allowed or "*" in allowed or f"{_PORT.sub('', origin)}:*" in allowed:
        return True
    try:
        return urlsplit(origin).netloc == headers.get("host")
    except ValueError:
        return False


def why_origin_refused(headers: Headers, allowed: Sequence[str]) -> str | None:
    """Why a browser's page may not connect, in words that name the setting; None when it may."""
    if origin_allowed(headers, allowed):
        return None
    return f"Origin: expected none, the same host or one of MATCH_ALLOWED_ORIGINS, not {headers['origin'][:200]}"


def why_host_refused(headers: Headers, allowed: Sequence[str]) -> str | None:
    """Where there is no key: why a browser may have been led here by a name that others give this machine; else None.

    A page can have its own name resolve to 127.0.0.1 (DNS rebinding), and then has the same origin as the node.
    """
    host = headers.get("host", "")
    name = _PORT.sub("", host).strip("[]")
    named = {urlsplit(origin).netloc for origin in allowed}
    if _is_address(name) or name == "localhost" or name.endswith(".localhost") or {host, "*"} & {*named, *allowed}:
        return None
    return f"Host: expected an address, localhost or one of MATCH_ALLOWED_ORIGINS where no key is set, not {host[:200]}"


def client_address(peer: str, headers: Headers, trusted: Sequence[Network]) -> str:
    """The client's address: the peer's, or what trusted proxies say of it, read from the right (RFC 7239, 7.4)."""
    address = peer
    hops = [hop.strip() for value in headers.getlist("x-forwarded-for") for hop in value.split(",")]
    while hops and _inside(address, trusted):
        address = hops.pop()
    return address


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _inside(address: str, networks: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
