"""Where Alembic meets the product: it runs on the connection `admin.migrate` hands over, inside that one write transaction."""

from __future__ import annotations

from alembic import context

from blocklists.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
