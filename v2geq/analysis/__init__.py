"""What equilibria say: prices and routes explained, derivatives, equations, validation."""
