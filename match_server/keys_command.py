"""`match-server keys`: the pool's signing keys, seen and rotated."""

import asyncio
from contextlib import AsyncExitStack
from typing import Annotated

import typer

from match_server.config import load_settings
from match_server.console import refuse
from match_server.errors import SettingsError, StoreUnavailable
from match_server.redis_urls import channel_prefix, is_cluster, publish_command
from match_server.signing import key_id, new_key
from match_server.store.open_redis import open_redis
from match_server.store.scripts import ScriptRunner, load_scripts
from match_server.store.upkeep import SIGNING_KEY_AHEAD_SECONDS, SIGNING_KEY_OVERLAP_SECONDS, UpkeepStore

RedisOption = Annotated[str | None, typer.Option("--redis-url", help="The pool's Redis (MATCH_REDIS_URL).")]

keys = typer.Typer(help="List or rotate the keys that sign join tokens and calls to dedicated servers.")


PoolOption = Annotated[
    str | None, typer.Option("--pool", help="One of MATCH_POOLS; each has keys of its own. Default: the first.")
]


@keys.command("list")
def list_keys(redis_url: RedisOption = None, pool: PoolOption = None) -> None:
    """The ids of the keys that are published, the one that signs first."""
    for place, key in enumerate(_signing_keys(new_key(), redis_url, pool, rotate=False)):
        typer.echo(f"{key_id(key)}  {'signs' if place == 0 else 'published'}")


@keys.command()
def rotate(redis_url: RedisOption = None, pool: PoolOption = None) -> None:
    """Publish a new key, which signs ten minutes later. The one before stays published for another day."""
    new = new_key()
    signing, *_ = _signing_keys(new, redis_url, pool, rotate=True)
    if signing == new:
        typer.echo(f"{key_id(new)} is the pool's first key, and signs")
        return
    minutes, hours = SIGNING_KEY_AHEAD_SECONDS // 60, SIGNING_KEY_OVERLAP_SECONDS // 3600
    typer.echo(f"{key_id(new)} is published from now on, and signs in {minutes} minutes")
    typer.echo(f"{key_id(signing)} signs until then, and stays published for {hours} hours more")


def _signing_keys(proposed: str, redis_url: str | None, pool: str | None, *, rotate: bool) -> list[str]:
    try:
        settings = load_settings(redis_url=redis_url)
    except SettingsError as error:
        refuse(str(error))
    if settings.redis_url.startswith("embedded://"):
        refuse("MATCH_REDIS_URL: expected the Redis of running nodes; an embedded one is its node's alone")
    if pool is not None and pool not in settings.pools:
        refuse(f"--pool: no such pool in MATCH_POOLS; there is {', '.join(settings.pools) or 'none'}")
    settings = settings.of_pool(pool or settings.pool_names[0])

    async def ask() -> list[str]:
        async with AsyncExitStack() as stack:
            redis, _ = await open_redis(stack, settings.redis_url, prefix=settings.key_prefix)
            url = settings.redis_url
            scripts = load_scripts(channel_prefix=channel_prefix(url), publish=publish_command(url))
            clustered = is_cluster(settings.redis_url)
            runner = ScriptRunner(redis, prefix=settings.key_prefix, scripts=scripts, clustered=clustered)
            upkeep = UpkeepStore(runner, redis, prefix=settings.key_prefix, node="keys")
            return await upkeep.signing_keys(proposed, rotate=rotate)

    try:
        return asyncio.run(ask())
    except StoreUnavailable as error:
        refuse(f"MATCH_REDIS_URL: {error}")
