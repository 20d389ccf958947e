"""Solvers of mixed complementarity problems. They know nothing of markets."""
