"""Preparing data: real datasets into the one format, and BlendFER from its sources."""
