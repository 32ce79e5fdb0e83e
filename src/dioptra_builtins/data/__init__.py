"""Task plugins that load and change data."""
