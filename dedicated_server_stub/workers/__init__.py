"""Rooms in several processes behind one registration: `--workers N`."""
