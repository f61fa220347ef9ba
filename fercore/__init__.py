"""fercore: understand, run and compare modern facial expression recognition."""

__version__ = "0.1.0"
