"""How a service of a given size behaves: a discrete-event simulation, fed with measured costs."""
