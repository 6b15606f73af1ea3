"""The journey under a deterministic scheduler: real actors, scripts and Redis, and a seed for all that is chance.

One thread, one event loop whose time jumps to the next timer, one blocking connection to Redis. A seed decides who
plays, what fails, how long everything takes and which of two ready callbacks runs first; the same seed runs the same
way twice. `world.py` puts it together, `stories.py` and
`tests/shared/invariants.py` say what must hold, `seeds.py` runs many.
"""
