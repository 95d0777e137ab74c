"""Small commands that make the data sets of the named experiments, in the layouts of the published data sets."""
