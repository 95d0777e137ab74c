"""Readers that are not this study's own (classical, of its ancestors, external programs), and denoisers."""
