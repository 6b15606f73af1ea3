"""What the processes of game servers know of each other: which rooms there are, and calls to them."""
