"""Measurements and long tests of the service: `python -m benchmarks --help`."""
