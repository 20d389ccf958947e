"""Scenario studies: a study file, its runs, their store and summary table."""
