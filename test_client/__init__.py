"""Simulated players: a client of the protocol, behaviours good and bad, and a report on what became of each.

`journey` knows the protocol and does no I/O; `client` is one connection; `player` is one simulated person with one
of the `behaviours`; `swarm` runs many of them; `summary`, `objectives` and `report` say how it went.
"""
