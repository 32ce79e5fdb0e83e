"""Task plugins that draw random numbers from one seed."""
