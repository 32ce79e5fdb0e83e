"""Task plugins that attack models."""
