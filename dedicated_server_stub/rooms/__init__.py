"""Rooms: the running game of one session, its players' connections and what travels between them."""
