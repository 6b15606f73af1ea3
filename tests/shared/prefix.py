"""Key prefixes for the pools of tests, which share one Redis."""

import uuid


def fresh_prefix() -> str:
    """A key prefix that no other pool has: with another's a node would find that one's servers and players."""
    return f"{{{uuid.uuid4().hex[:12]}}}:"
