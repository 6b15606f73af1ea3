"""One module per kind of case."""
