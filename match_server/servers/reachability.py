"""Whether anything answers where a dedicated server says that it is called."""

import asyncio
import os
from urllib.parse import urlsplit


async def why_unreachable(url: str, *, within_seconds: float) -> str | None:
    """Connect once to the host and port of a checked endpoint. Returns the reason in words where nothing answers."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(within_seconds):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except TimeoutError:
        return f"no answer within {within_seconds:g} s"
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)
    writer.transport.abort()
    return None
