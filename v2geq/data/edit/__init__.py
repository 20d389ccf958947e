"""A case changed or made in Python; `Case` has these functions as methods, each with a check."""
