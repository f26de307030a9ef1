"""How Alembic runs a step: on the connection that it is given, in its transaction."""

from __future__ import annotations

from alembic import context

from propensia.store.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
