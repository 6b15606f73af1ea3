"""The pool's signing keys: what a dedicated server, which knows the published halves alone, can check with them."""

import hashlib
from typing import Any

import jwt
import pytest

from match_server.signing import CALL_SECONDS, JOIN_SECONDS, SigningKeys, key_id, new_key

NOW = 1_700_000_000.7


def keys(*texts: str) -> SigningKeys:
    made = SigningKeys(now=lambda: NOW)
    made.learn(texts or (new_key(),))
    return made


def read(token: str, published: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The claims, as any JWT library reads them."""
    by_id = jwt.PyJWKSet.from_dict(published)
    claims: dict[str, Any] = jwt.decode(
        token,
        by_id[jwt.get_unverified_header(token)["kid"]],
        algorithms=["EdDSA"],
        options={"verify_exp": False},
        **options,
    )
    return claims


def test_each_player_gets_a_token_of_its_own_for_the_session() -> None:
    pool = keys()
    settled = {"teams": {"blue": ["ann"], "red": ["bob"]}, "roles": {"ann": "tank"}, "region": "eu"}
    ann, bob = pool.join_tokens(("ann", "bob"), session_id="s-1", server_id="eu-1", settled=settled)
    session = {"sid": "s-1", "srv": "eu-1", "region": "eu", "iat": int(NOW), "exp": int(NOW) + JOIN_SECONDS}
    assert read(ann, pool.public()) == {"sub": "ann", "team": "blue", "role": "tank", **session}
    assert read(bob, pool.public()) == {"sub": "bob", "team": "red", **session}


def test_a_match_that_no_rules_formed_has_neither_team_nor_role_nor_region() -> None:
    pool = keys()
    (token,) = pool.join_tokens(("ann",), session_id="s-1", server_id="eu-1", settled={})
    assert read(token, pool.public()).keys() == {"sub", "sid", "srv", "iat", "exp"}


def test_a_call_is_signed_for_one_server_and_one_body() -> None:
    pool = keys()
    token = pool.call_token("eu-1", b"{}")
    assert token
    claims = read(token, pool.public(), audience="eu-1")
    assert claims["body_sha256"] == hashlib.sha256(b"{}").hexdigest()
    assert claims["exp"] - claims["iat"] == CALL_SECONDS
    with pytest.raises(jwt.InvalidAudienceError):
        read(token, pool.public(), audience="eu-2")


def test_the_newest_key_signs_and_the_one_before_is_still_published() -> None:
    old, new = new_key(), new_key()
    before, after = keys(old), keys(new, old)
    (token,) = before.join_tokens(("ann",), session_id="s", server_id="x", settled={})
    assert read(token, after.public())["sub"] == "ann"
    (token,) = after.join_tokens(("ann",), session_id="s", server_id="x", settled={})
    assert jwt.get_unverified_header(token)["kid"] == key_id(new) == after.public()["keys"][0]["kid"]


def test_what_is_published_is_no_secret() -> None:
    text = new_key()
    (published,) = keys(text).public()["keys"]
    assert published.keys() == {"kty", "crv", "x", "kid", "alg", "use"}
    assert text.rstrip("=") not in published.values()


def test_before_redis_was_reached_nothing_is_signed() -> None:
    pool = SigningKeys()
    assert not pool.ready
    assert pool.join_tokens(("ann",), session_id="s", server_id="x", settled={}) == ()
    assert pool.call_token("x", b"") is None
    assert pool.public() == {"keys": []}


def test_a_node_proposes_the_key_that_its_pool_had() -> None:
    """Redis that was emptied gets it back, and no token in the hands of a player becomes worthless."""
    pool = SigningKeys()
    assert pool.proposed == pool.proposed
    text = new_key()
    pool.learn([text, new_key()])
    assert pool.proposed == text
