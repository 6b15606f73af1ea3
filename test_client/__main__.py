"""`python -m test_client` is `test-client`."""

from match_server.entry import test_client

if __name__ == "__main__":
    test_client()
