"""Energy-feasible trips on the roads: paths, their costs and prices."""
