"""The regressions tell of the same pool as the tests of the scripts."""

from tests.store.conftest import pool

__all__ = ["pool"]
