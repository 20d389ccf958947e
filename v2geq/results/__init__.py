"""What follows from a solved problem: canonical prices, tables, accounts, certificate, files."""
