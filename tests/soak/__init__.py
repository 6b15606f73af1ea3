"""A soak: a mixed population over two nodes, faults at random times, and a table of what held and what was left behind.

| module | its job |
|---|---|
| `__main__` | the command `python -m tests.soak` |
| `soak` | one run, from the first process to the verdict |
| `process`, `stack` | the processes: Redis, two nodes, three dedicated servers |
| `faults` | what is done to them, and when |
| `crowd`, `waves` | the players, in processes of their own, and what they tell of each wave |
| `pool` | atomic looks into Redis |
| `watch`, `waiting` | looks in all the time, while it runs; who could have been matched all along |
| `invariants`, `ledger` | what must hold; what the players, compared with each other, say about that |
| `vitals` | memory, descriptors, connections |
| `rest` | the end: waiting until nothing moves, and what is left then |
| `rooms`, `room_server` | the command `python -m tests.soak.rooms`: players play in rooms, and what is left of them |
| `report` | the tables and the JSON document |
| `platform`, `platform_sinks` | `python -m tests.soak.platform`: the platform and what it writes to fail in turn |
"""
