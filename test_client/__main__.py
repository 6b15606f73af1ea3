"""`python -m test_client`."""

from test_client.cli import main

if __name__ == "__main__":
    main()
