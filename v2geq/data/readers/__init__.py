"""One reader for each format, with file and line in every error."""
