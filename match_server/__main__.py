"""`python -m match_server` is `match-server`."""

from match_server.cli import main

if __name__ == "__main__":
    main()
