"""A small dedicated game server: registers with the match server, takes sessions, reports their end."""
