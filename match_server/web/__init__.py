"""The outside: sockets of players, HTTP for dedicated servers and operators."""
