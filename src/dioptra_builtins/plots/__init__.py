"""Task plugins that draw what was measured."""
