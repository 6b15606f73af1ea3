"""Who may have sessions created: the match server, whose calls are signed for one server and one body."""

import asyncio
from collections.abc import Callable

import jwt
import pytest

from dedicated_server_stub.call_tokens import CallTokens, UnknownKey
from dedicated_server_stub.join_tokens import PublishedKeys
from match_server.signing import SigningKeys, key_id, new_key
from tests.stub.room_stub import SERVER_ID, Pool

BODY = b'{"session_id": "s"}'


def refusal(pool: Pool, authorization: str, *, body: bytes = BODY, required: bool = True) -> str | None:
    calls = CallTokens(PublishedKeys(pool.publish), server_id=SERVER_ID, required=required)
    return asyncio.run(calls.refusal(authorization, body))


def bearer(pool: Pool, *, server_id: str = SERVER_ID, body: bytes = BODY) -> str:
    return f"Bearer {pool.signing.call_token(server_id, body)}"


def test_the_match_servers_own_call_is_good() -> None:
    pool = Pool()
    assert refusal(pool, bearer(pool)) is None


def test_a_call_without_a_token_is_good_unless_one_is_required() -> None:
    assert refusal(Pool(), "", required=False) is None
    assert refusal(Pool(), "") == "Authorization: expected the match server's bearer token"


def join_token(pool: Pool) -> str:
    (token,) = pool.signing.join_tokens(["ann"], session_id="s", server_id=SERVER_ID, settled={})
    return f"Bearer {token}"


def old(pool: Pool) -> str:
    then = SigningKeys(now=lambda: 1.0)
    then.learn([pool.signing.proposed])
    return f"Bearer {then.call_token(SERVER_ID, BODY)}"


WRONG: dict[str, Callable[[Pool], str]] = {
    "for another server": lambda pool: bearer(pool, server_id="another"),
    "for another body": lambda pool: bearer(pool, body=b"{}"),
    "expired": old,
    "a player's": join_token,
    "unsigned": lambda pool: f"Bearer {jwt.encode({'aud': SERVER_ID}, '', algorithm='none')}",
    "rubbish": lambda _: "Bearer x.y.z",
    "of a shared key": lambda pool: (
        "Bearer " + jwt.encode({"aud": SERVER_ID}, new_key(), headers={"kid": key_id(pool.signing.proposed)})
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_no_other_token_is_good_whether_required_or_not(name: str) -> None:
    pool = Pool()
    for required in (True, False):
        assert str(refusal(pool, WRONG[name](pool), required=required)).startswith("Authorization: ")


def test_a_key_that_is_not_known_yet_is_the_servers_fault_and_not_the_matchs() -> None:
    """It answers 503: a 4xx would have the players of this match thrown out of the queue."""
    with pytest.raises(UnknownKey):
        refusal(Pool(), bearer(Pool()))


def test_the_tokens_of_ten_thousand_changed_bodies_are_refused() -> None:
    pool = Pool()
    calls = CallTokens(PublishedKeys(pool.publish), server_id=SERVER_ID, required=True)
    good = bearer(pool)

    async def try_them() -> list[int]:
        return [n for n in range(10_000) if await calls.refusal(good, BODY + str(n).encode()) is None]

    assert asyncio.run(try_them()) == []
