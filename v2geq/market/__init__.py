"""Players joined by market clearing, and the way to its equilibrium."""
