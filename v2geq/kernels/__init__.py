"""How inner loops are compiled and kept."""
