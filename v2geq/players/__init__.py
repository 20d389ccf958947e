"""Players of the market: each states its own problem as a program."""
