"""Effects and their errors: least squares with clustered errors, and intervals of proportions."""
