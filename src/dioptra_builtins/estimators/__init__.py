"""Task plugins that make, fit and ask models."""
