"""The losses, one file per idea."""
