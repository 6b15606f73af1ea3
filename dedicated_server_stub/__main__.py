"""`python -m dedicated_server_stub` is `dedicated-server-stub`."""

from match_server.entry import dedicated_server_stub

if __name__ == "__main__":
    dedicated_server_stub()
