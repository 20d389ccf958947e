"""Frozen tables of a case."""
