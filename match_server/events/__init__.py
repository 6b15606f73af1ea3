"""What happens: in a pool, as CloudEvents (`data.py`, `cloudevents.py`), and on a node (`node.py`, `node_log.py`)."""
