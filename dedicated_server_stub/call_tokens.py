"""Who calls: checks the bearer token of a create with the keys that the match server publishes."""

import hashlib
import hmac

import jwt

from dedicated_server_stub.join_tokens import LEEWAY_SECONDS, PublishedKeys

_CLAIMS = ["aud", "exp", "body_sha256"]


class UnknownKey(Exception):
    """The match server publishes no key of that name, as far as this server has heard."""


class CallTokens:
    """Decides whether a create comes from the match server."""

    def __init__(self, keys: PublishedKeys, *, server_id: str, required: bool) -> None:
        """`required`: a call without a token is refused; otherwise one that is there is checked all the same."""
        self._keys = keys
        self._server_id = server_id
        self._required = required

    async def refusal(self, authorization: str, body: bytes) -> str | None:
        """Why a call with this `Authorization` header is refused; None for one that is good.

        Raises:
            UnknownKey: the token's key is not known, or not yet: another node may have been quicker to sign with it.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return "Authorization: expected the match server's bearer token" if self._required else None
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            if not isinstance(kid, str):
                return "Authorization: the token names no key"
            key = await self._keys.find(kid)
            if key is None:
                raise UnknownKey
            claims = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                audience=self._server_id,
                leeway=LEEWAY_SECONDS,
                options={"require": _CLAIMS, "verify_iat": False},
            )
        except jwt.InvalidTokenError as error:
            return f"Authorization: {error}"
        if not hmac.compare_digest(str(claims["body_sha256"]), hashlib.sha256(body).hexdigest()):
            return "Authorization: the token was made for another body"
        return None
