"""The least that a WebSocket service can be with this stack: what match-server's own costs are compared with."""
