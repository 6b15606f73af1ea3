"""What Alembic runs: the migrations, on the connection that it is given (database.py)."""

from alembic import context

from match_server.platform.history.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
