"""Runs: one experiment or a whole plan of them, their results as data, and what was found in them."""
