"""What belongs to the paper this system follows alone: its claims and figures."""
