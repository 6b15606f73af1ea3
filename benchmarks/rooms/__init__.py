"""Rooms of `dedicated-server-stub` beside those of Colyseus: `python -m benchmarks rooms`."""
