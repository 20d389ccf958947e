"""Convex programs solved directly: best deviations, least relaxations."""
