"""How well and how fast the matching is: `python -m benchmarks quality` and `python -m benchmarks matching`."""
