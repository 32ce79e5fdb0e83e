"""Task plugins that measure distances and performance."""
