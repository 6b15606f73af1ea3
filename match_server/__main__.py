"""`python -m match_server` is `match-server`."""

from match_server.entry import match_server

if __name__ == "__main__":
    match_server()
