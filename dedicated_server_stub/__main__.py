"""`python -m dedicated_server_stub`, the same as the command `dedicated-server-stub`."""

from dedicated_server_stub.cli import main

if __name__ == "__main__":
    main()
