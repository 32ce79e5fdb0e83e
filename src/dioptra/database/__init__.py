"""All that is SQL: jobs, their attempts, and what waits for what; queues and workers; on SQLite or PostgreSQL."""

from dioptra.database._database import Database
from dioptra.database._records import DEFAULT_QUEUE, Attempt, Standing, check_queue_name

__all__ = ["DEFAULT_QUEUE", "Attempt", "Database", "Standing", "check_queue_name"]
