"""Mixed complementarity problems from players' programs: blocks, assembly, certificate."""
