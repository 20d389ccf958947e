"""Frozen data: what values, tables, settings, networks and cases look like."""
