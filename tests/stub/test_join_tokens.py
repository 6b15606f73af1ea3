"""Thousands of wrong tokens, checked without a socket."""

import asyncio
import base64
import json
import time
from random import Random
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dedicated_server_stub.join_tokens import REFRESH_SECONDS, Claims, JoinTokens, PublishedKeys
from dedicated_server_stub.rooms.close_codes import RoomClose
from tests.stub.room_stub import SERVER_ID, SESSION_ID, Pool


def check(pool: Pool, token: str) -> Claims | RoomClose:
    tokens = JoinTokens(PublishedKeys(pool.publish), server_id=SERVER_ID)
    return asyncio.run(tokens.check(token, session_id=SESSION_ID))


def test_a_good_token_says_who_comes() -> None:
    pool = Pool()
    (token,) = pool.signing.join_tokens(
        ["ann"], session_id=SESSION_ID, server_id=SERVER_ID, settled={"teams": {"red": ["ann"]}}
    )
    assert check(pool, token) == Claims("ann", SESSION_ID, team="red", expired=False)


def test_none_of_ten_thousand_wrong_tokens_is_let_in() -> None:
    pool, foreign, old = Pool(), Pool(), Pool(now=lambda: 1.0)
    old.signing.learn([pool.signing.proposed])
    good = pool.token("ann")
    header, body, signature = good.split(".")
    rng = Random(7)  # noqa: S311 - repeatable by design

    def flipped(part: str) -> str:
        raw = bytearray(base64.urlsafe_b64decode(part + "=="))
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        return base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()

    def unsigned() -> str:
        none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": "x"}).encode()).rstrip(b"=").decode()
        return f"{none}.{body}."

    public = pool.signing.public()["keys"][0]

    def signed_with_the_public_key() -> str:
        claims = jwt.decode(good, options={"verify_signature": False})
        return jwt.encode(claims, public["x"] * 2, algorithm="HS256", headers={"kid": public["kid"]})

    def without(claim: str) -> str:
        key = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(pool.signing.proposed))
        claims = jwt.decode(good, options={"verify_signature": False})
        del claims[claim]
        return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": public["kid"]})

    makers: list[Any] = [
        lambda: f"{header}.{flipped(body)}.{signature}",
        lambda: f"{header}.{body}.{flipped(signature)}",
        lambda: f"{flipped(header)}.{body}.{signature}",
        lambda: foreign.token("ann"),
        lambda: pool.token("ann", session_id="another"),
        lambda: pool.token("ann", server_id="another"),
        lambda: old.token("ann"),
        unsigned,
        signed_with_the_public_key,
        lambda: without(rng.choice(["sub", "sid", "srv", "exp"])),
        lambda: good[: rng.randrange(len(good))],
    ]

    async def scenario() -> None:
        tokens = JoinTokens(PublishedKeys(pool.publish), server_id=SERVER_ID)
        assert isinstance(await tokens.check(good, session_id=SESSION_ID), Claims)
        for number in range(10_000):
            claims = await tokens.check(makers[number % len(makers)](), session_id=SESSION_ID)
            assert not isinstance(claims, Claims) or claims.expired

    asyncio.run(scenario())


def test_keys_are_fetched_when_a_new_one_signs_and_no_oftener() -> None:
    now = time.monotonic()
    fetched = 0
    pool = Pool()

    async def fetch() -> dict[str, Any] | None:
        nonlocal fetched
        fetched += 1
        return pool.signing.public() if fetched > 1 else None

    async def scenario() -> None:
        nonlocal now, pool
        tokens = JoinTokens(PublishedKeys(fetch, clock=lambda: now), server_id=SERVER_ID)
        for _ in range(3):  # the match server is out of reach, and is asked once a second
            assert await tokens.check(pool.token("ann"), session_id=SESSION_ID) is RoomClose.UNAUTHORIZED
        assert fetched == 1
        now += REFRESH_SECONDS
        assert isinstance(await tokens.check(pool.token("ann"), session_id=SESSION_ID), Claims)
        for _ in range(3):
            assert await tokens.check(Pool().token("ann"), session_id=SESSION_ID) is RoomClose.UNAUTHORIZED
        assert fetched == 2
        now += REFRESH_SECONDS
        pool = Pool()  # rotated
        assert isinstance(await tokens.check(pool.token("ann"), session_id=SESSION_ID), Claims)

    asyncio.run(scenario())
