"""Compiled loops over arrays: shortest paths, label setting, assignment. Only numpy and numba."""
