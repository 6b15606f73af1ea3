"""Opens the store that a URL names: one server, or the primary of several."""

from contextlib import AsyncExitStack

from redis.asyncio import Redis

from match_server.redis_urls import SENTINEL_SCHEMES, ClusterUrl, SentinelUrl, hash_tag, is_cluster
from match_server.store.client import connect
from match_server.store.cluster import ClusterPrimary
from match_server.store.primary import Primary
from match_server.store.sentinel import SentinelPrimary


async def open_redis(stack: AsyncExitStack, url: str, *, prefix: str) -> tuple[Redis, Primary | None]:
    """A client for the store; it closes with `stack`. `prefix` is what the names of the pool's keys begin with.

    Returns:
        The client; and where several servers are one store, the primary that it follows: its `run` has to run.
    """
    primary: Primary | None = None
    if url.startswith(SENTINEL_SCHEMES):
        several = SentinelUrl.parse(url)
        primary, url = SentinelPrimary(several), several.data
    elif is_cluster(url):
        cluster = ClusterUrl.parse(url)
        primary, url = ClusterPrimary(cluster, tag=hash_tag(prefix) or ""), cluster.data
    if primary:
        stack.push_async_callback(primary.aclose)
        await primary.look()
    redis = connect(url, primary)
    stack.push_async_callback(redis.aclose)
    return redis, primary
