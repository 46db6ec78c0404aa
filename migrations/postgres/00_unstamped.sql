-- The layout of the specification of 2018, and what sqlalchemy-migrate left, become the first Alembic revision.

--@ when column clients.config_id
ALTER TABLE clients RENAME COLUMN config_id TO client_id;

--@ when column sessions.scheduling
ALTER TABLE sessions RENAME COLUMN scheduling TO schedule;

--@ when column jobs.scheduling
ALTER TABLE jobs RENAME COLUMN scheduling TO schedule;

-- The client of a backup goes into its metadata, where the reference has it.
--@ when column backups.client_id
--@ call keep_backup_columns

--@ when column backups.client_id
ALTER TABLE backups DROP COLUMN client_id;
