"""Compiled loops of trips."""
