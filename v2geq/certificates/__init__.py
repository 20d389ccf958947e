"""Evidence recomputed from a point."""
