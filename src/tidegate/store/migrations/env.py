"""What Alembic runs: the migrations, on the connection that it was given."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    version_table="schema_version",
    version_table_schema=None if connection.dialect.name == "sqlite" else "delivery",
)
with context.begin_transaction():
    context.run_migrations()
