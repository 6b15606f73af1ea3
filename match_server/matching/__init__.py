"""Rule-based matching: game modes and their rules, and who may play with whom. No I/O but in `feed.py`."""
