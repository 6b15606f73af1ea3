"""10,000 forged, expired or foreign tokens of players and of journeys: none is accepted."""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from random import Random

import jwt
import pytest
from pydantic import SecretStr
from starlette.datastructures import Headers, QueryParams

from match_server.actors.mailbox import Identity
from match_server.redis_clock import RedisClock
from match_server.resume_tokens import TokenMint
from match_server.web.player_tokens import PlayerTokens
from tests.faults.conftest import Nodes
from tests.shared.crowd import MODE
from tests.shared.player import player_on

KEY = "k" * 32
FORGED = 5000
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~."


def mutations(token: str, rng: Random) -> Iterator[str]:
    """The token with one part of it changed, cut, doubled or swapped."""
    while True:
        at = rng.randrange(len(token))
        other = rng.choice(ALPHABET.replace(token[at], ""))
        yield rng.choice(
            [
                token[:at] + other + token[at + 1 :],
                token[:at],
                token[:at] + other + token[at:],
                token[at:] + token[:at] if at else token[::-1],
                "".join(rng.choice(ALPHABET) for _ in token),
            ]
        )


def unsigned(claims: dict[str, object], algorithm: str) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": algorithm, "typ": "JWT"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


def bad_player_tokens() -> Iterator[str]:
    rng = Random(1)  # noqa: S311 - repeatable, no secret
    now = int(time.time())
    good = jwt.encode({"sub": "ann"}, KEY, algorithm="HS256")
    mutated = (token for token in mutations(good, rng) if token != good)
    kinds: list[Callable[[], str]] = [
        lambda: next(mutated),
        lambda: jwt.encode({"sub": "ann", "n": rng.random()}, "x" * 32, algorithm="HS256"),
        lambda: jwt.encode({"sub": "ann", "exp": now - rng.randint(1, 10**8)}, KEY, algorithm="HS256"),
        lambda: jwt.encode({"sub": "ann", "nbf": now + rng.randint(60, 10**8)}, KEY, algorithm="HS256"),
        lambda: jwt.encode({"sub": "ann", "n": rng.random()}, KEY * 2, algorithm="HS512"),
        lambda: unsigned({"sub": "ann", "n": rng.random()}, rng.choice(["none", "None", "HS256", ""])),
        lambda: jwt.encode({"name": "ann", "n": rng.random()}, KEY, algorithm="HS256"),
        lambda: jwt.encode({"sub": rng.choice(["", "a b", "x" * 65, "ann\n", "#state"])}, KEY, algorithm="HS256"),
    ]
    return (kind() for kind in cycle(kinds))


def mint_with(secret: str) -> TokenMint:
    clock = RedisClock()
    clock.set(time.time_ns() // 1000)
    mint = TokenMint(clock)
    mint.learn(secret)
    return mint


def bad_resume_tokens(mint: TokenMint) -> Iterator[str]:
    """For ann: changed ones of her own, somebody else's, and those of another pool."""
    rng = Random(2)  # noqa: S311 - repeatable, no secret
    own = mint.mint("ann", MODE)
    elsewhere = mint_with("another pool's secret")
    mutated = (token for token in mutations(own, rng) if token != own)
    kinds: list[Callable[[], str]] = [
        lambda: next(mutated),
        lambda: mint.mint("bob", MODE),
        lambda: elsewhere.mint("ann", MODE),
    ]
    return (kind() for kind in cycle(kinds))


def test_5000_bad_player_tokens() -> None:
    tokens = PlayerTokens(key=SecretStr(KEY))

    async def accepts(token: str) -> bool:
        found = await tokens.identity(Headers({"authorization": f"Bearer {token}"}), QueryParams())
        return isinstance(found, Identity) and not found.expired

    async def all_of_them() -> None:
        assert await accepts(jwt.encode({"sub": "ann", "exp": time.time() + 60}, KEY, algorithm="HS256"))
        accepted = [token for token in islice(bad_player_tokens(), FORGED) if await accepts(token)]
        assert accepted == []

    asyncio.run(all_of_them())


def test_5000_bad_resume_tokens() -> None:
    mint = mint_with("the pool's secret")
    assert mint.verify("ann", mint.mint("ann", MODE))
    assert [token for token in islice(bad_resume_tokens(mint), FORGED) if mint.verify("ann", token)] == []


def test_a_sample_of_them_over_the_socket(nodes: Nodes) -> None:
    (node,) = nodes.start(1, player_key=KEY, messages_per_second=10_000)

    def headers(player: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {jwt.encode({'sub': player}, KEY, algorithm='HS256')}"}

    async def one(token: str) -> None:
        header = {"Authorization": f"Bearer {token}"}
        async with player_on(node, "ann", additional_headers=header) as player:
            await player.refused("unauthorized")
            assert await player.closed() == 4401

    async def story() -> None:
        sample = [token for token in islice(bad_player_tokens(), 80) if token.isascii() and token.isprintable()]
        await asyncio.gather(*map(one, sample))
        mint = mint_with("a guess")
        async with player_on(node, "ann", additional_headers=headers("ann")) as ann:
            token = (await ann.queue(MODE))["resume_token"]
            foreign = [token.replace(MODE, "other"), *islice(mutations(token, Random(3)), 50)]  # noqa: S311 - no secret
            async with player_on(node, "ann", additional_headers=headers("ann")) as thief:
                for bad in [*islice(bad_resume_tokens(mint), 30), *filter(None, foreign)]:
                    if bad != token:
                        await thief.resume(bad)
                        await thief.refused("invalid_resume_token")
            async with player_on(node, "eve", additional_headers=headers("eve")) as eve:
                await eve.send("resume", player_id="ann", resume_token=token)  # the right one, with the wrong login
                await eve.refused("unauthorized")
                assert await eve.closed() == 4401
            await ann.nothing()

    asyncio.run(story())


@pytest.mark.parametrize("how", ["left", "left, and its tombstone has expired"])
def test_a_token_dies_with_its_journey(nodes: Nodes, how: str) -> None:
    (node,) = nodes.start(1)

    async def story() -> None:
        async with player_on(node, "ann") as ann:
            token = (await ann.queue(MODE))["resume_token"]
            await ann.send("dequeue")
            await ann.expect("dequeued")
            if how != "left":
                node.redis.delete(node.key("left:ann"))
            await ann.resume(token)
            await ann.refused("invalid_resume_token")

    asyncio.run(story())
