"""Readers: the networks, how they are fitted, and how their output becomes text."""
