"""Task plugins that move files in and out of runs."""
