"""Dedicated servers: what the allocator needs of them, and how they are called over HTTP."""
