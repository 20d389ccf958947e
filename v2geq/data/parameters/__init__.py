"""What a parameter's name points at, and how it is given, changed, or left unused."""
