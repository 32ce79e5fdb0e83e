"""Contexts, decorators, logging and paths for entry-point scripts and task plugins."""
