"""The history: what happened, in a database."""
