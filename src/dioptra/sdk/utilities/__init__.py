"""Contexts and logging for entry-point scripts."""
