"""Data: frozen tables, what makes them unusable, parameters by name, readers of files."""
