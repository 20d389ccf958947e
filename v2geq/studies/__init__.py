"""Scenario studies: a study file, its runs in processes, their files and tables."""
