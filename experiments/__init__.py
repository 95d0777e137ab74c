"""Small commands that make the data sets of the named experiments, in the layouts that others publish theirs in."""
