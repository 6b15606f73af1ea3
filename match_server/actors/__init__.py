"""Actors hold the connections and batch the work; each owns its state alone. `core` knows nothing of matchmaking."""
