"""Readers and frozen data: feeders, road networks, cases."""
