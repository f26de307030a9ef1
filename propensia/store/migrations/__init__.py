"""The steps from any older database to the tables of now, for Alembic."""
