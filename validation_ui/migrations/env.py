"""The script that Alembic runs: it applies the migrations on the connection that `migrations.config` set."""

from alembic import context

from validation_ui.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
    transactional_ddl=True,
    transaction_per_migration=False,
)
context.run_migrations()
