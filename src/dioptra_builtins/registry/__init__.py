"""Task plugins that register models and load them again."""
