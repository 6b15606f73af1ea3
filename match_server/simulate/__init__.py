"""`match-server simulate`: a game mode's rules tried on arriving players, on a virtual clock."""
