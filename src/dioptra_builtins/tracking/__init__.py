"""Task plugins that log to the run of the job."""
