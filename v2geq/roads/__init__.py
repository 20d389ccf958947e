"""Roads: graph, travel times, shortest paths and traffic assignment; nothing of markets."""
