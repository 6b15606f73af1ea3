"""Players who prove who they are: by published keys, after a crash of the game, with a token that has expired."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from websockets.exceptions import ConnectionClosed

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node, run
from tests.shared.player import MODE, Player, fresh_id, match_all, player_on

KEY = "k" * 32
SECRET = "a secret that somebody published"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE: dict[str, Any] = {
    "RS256": RSA,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
PUBLISH: dict[str, Any] = {"RS256": RSAAlgorithm.to_jwk, "ES256": ECAlgorithm.to_jwk, "EdDSA": OKPAlgorithm.to_jwk}


def key_set(**private: Any) -> dict[str, Any]:
    """Each key under its algorithm's name."""
    return {
        "keys": [{**PUBLISH[name](key.public_key(), as_dict=True), "kid": name} for name, key in private.items()]
        + [{"kty": "oct", "kid": "HS256", "k": base64.urlsafe_b64encode(SECRET.encode()).decode()}]
    }


def signed(player_id: str, algorithm: str = "EdDSA", key: Any = None, *, kid: str = "", **claims: Any) -> str:
    said = {"sub": player_id, "exp": int(time.time()) + 60, **claims}
    return jwt.encode(said, key or PRIVATE[algorithm], algorithm, headers={"kid": kid or algorithm})


def bearer(token: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {token}"}}


def hs256(player_id: str, *, seconds: int = 60) -> dict[str, Any]:
    return bearer(jwt.encode({"sub": player_id, "exp": int(time.time()) + seconds}, KEY, "HS256"))


class Issuer:
    """Publishes its keys over HTTP."""

    def __init__(self) -> None:
        issuer = self
        self.published = key_set(**PRIVATE)
        self.asked = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(issuer.published).encode())

            def log_message(self, *_: Any) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks.json"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.close()


async def turned_away(node: Node, token: str) -> str:
    """The reason in the close frame."""
    async with player_on(node, "p", **bearer(token)) as player:
        await player.refused("unauthorized")
        with pytest.raises(ConnectionClosed) as closed:
            await player.link.recv()
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 4401
        return closed.value.rcvd.reason


def test_keys_that_the_issuer_publishes_let_players_in_and_are_replaced_while_the_node_runs(
    redis_url: str, prefix: str, tmp_path: Path, issuer: Issuer
) -> None:
    async def enter(node: Node) -> None:
        for algorithm in PRIVATE:
            player_id = fresh_id()
            async with player_on(node, player_id, **bearer(signed(player_id, algorithm))) as player:
                await player.queue()
                await player.leave()

        stranger = ed25519.Ed25519PrivateKey.generate()
        public = RSA.public_key().public_numbers().n.to_bytes(256, "big").hex()
        assert "signature" in await turned_away(node, signed("p", "EdDSA", stranger))
        assert "alg" in await turned_away(node, signed("p", "HS256", public, kid="RS256")), "the public key as a secret"
        assert "kid" in await turned_away(node, signed("p", "HS256", SECRET, kid="HS256")), "a secret in a public set"
        assert "kid" in await turned_away(node, signed("p", "EdDSA", stranger, kid="new"))
        asked = issuer.asked
        await asyncio.gather(*(turned_away(node, signed("p", "EdDSA", stranger, kid=f"new-{n}")) for n in range(20)))
        assert issuer.asked == asked, "an unknown kid costs the issuer one question in ten seconds"

    with Node(tmp_path, redis_url, prefix, player_jwks=issuer.url) as node:
        asyncio.run(enter(node))


def test_keys_in_a_file_and_tokens_of_a_shared_key_side_by_side(redis_url: str, prefix: str, tmp_path: Path) -> None:
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps(key_set(EdDSA=PRIVATE["EdDSA"])))
    settings: dict[str, Any] = {
        "player_jwks": keys,
        "player_key": KEY,
        "player_issuer": "https://id.example",
        "player_audience": "match",
    }

    async def enter(node: Node) -> None:
        named = {"iss": "https://id.example", "aud": "match"}
        for token in (signed("p", **named), jwt.encode({"sub": "p", **named}, KEY, "HS256")):
            async with player_on(node, "p", **bearer(token)) as player:
                await player.queue()
                await player.leave()
        assert "iss" in await turned_away(node, signed("p", **{**named, "iss": "https://evil.example"}))
        assert "aud" in await turned_away(node, signed("p", **{**named, "aud": "shop"}))

    with Node(tmp_path, redis_url, prefix, **settings) as node:
        asyncio.run(enter(node))


def test_while_no_key_could_be_read_the_node_is_not_ready_and_says_why(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    with Node(tmp_path, redis_url, prefix, player_jwks="http://127.0.0.1:9/jwks.json") as node:
        answer = node.http.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith("the keys of players' tokens could not be read yet")
        assert node.http.get("/ws/").status_code == 426


def test_a_key_set_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    refused = run("match_server", folder=tmp_path, player_jwks="nowhere.json")
    assert refused.returncode == 2
    assert refused.stderr.startswith("MATCH_PLAYER_JWKS: expected an http or https URL, or the path of a file")


@pytest.fixture(scope="module")
def closed_node(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(
        tmp_path_factory.mktemp("node"), redis_url, "{identity}:", player_key=KEY, game_modes=f"{MODE}:2,Trio:3"
    ) as node:
        yield node


async def taken_over(old: Player, new: Player, *frames: str) -> None:
    """An enqueue of the new connection is answered as its `resume` would be."""
    await new.enqueue()
    for frame in ("resumed", *frames):
        await new.expect(frame)
    assert await old.closed() == 4000


@pytest.mark.parametrize("stage", ["queued", "loading"])
def test_a_game_that_was_started_again_takes_its_player_over_by_its_enqueue(closed_node: Node, stage: str) -> None:
    async def crash() -> None:
        player_id, other_id = fresh_id(), fresh_id()
        async with (
            FakeServer(closed_node),
            player_on(closed_node, player_id, **hs256(player_id)) as before,
            player_on(closed_node, player_id, **hs256(player_id)) as after,
            player_on(closed_node, other_id, **hs256(other_id)) as other,
        ):
            await before.queue()
            if stage == "queued":
                await taken_over(before, after, "queued")
                await other.queue()
            else:
                await other.queue()
                await before.expect("start_loading")
                await taken_over(before, after, "start_loading")
                session = after.frames[-1]["loading_session_id"]
                await after.loaded(session)
                await other.load()
                await after.expect("match_found")
                return
            await match_all([after, other])

    asyncio.run(crash())


def test_for_another_mode_it_is_told_where_it_is(closed_node: Node) -> None:
    async def enqueue_twice() -> None:
        player_id = fresh_id()
        async with (
            player_on(closed_node, player_id, **hs256(player_id)) as before,
            player_on(closed_node, player_id, **hs256(player_id)) as after,
        ):
            await before.queue()
            await after.enqueue("Trio")
            refusal = await after.refused("already_in_queue")
            assert (refusal["state"], refusal["game_mode"]) == ("queued", MODE)
            await before.nothing()
            await before.leave()

    asyncio.run(enqueue_twice())


def test_with_an_expired_token_a_player_may_resume_what_it_began_and_nothing_else(closed_node: Node) -> None:
    async def come_back() -> None:
        player_id = fresh_id()
        async with player_on(closed_node, player_id, **hs256(player_id)) as before:
            token = (await before.queue())["resume_token"]
            await before.drop()
        async with player_on(closed_node, player_id, **hs256(player_id, seconds=-5)) as after:
            await after.resume(token)
            await after.expect("resumed")
            await after.expect("queued")
            await after.nothing(for_seconds=1.2)  # beyond the second that such a connection has for it
            await after.send("dequeue")
            await after.expect("dequeued")
            await after.enqueue()
            await after.refused("unauthorized")
            assert await after.closed() == 4401
        async with player_on(closed_node, player_id, **hs256(player_id, seconds=-5)) as idle:
            await idle.refused("unauthorized")
            assert await idle.closed() == 4401

    asyncio.run(come_back())
