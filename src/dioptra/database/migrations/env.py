"""What Alembic runs to migrate: in the transaction of the connection that it is given, without any configuration."""

from __future__ import annotations

from alembic import context

from dioptra.database._schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
