-- The layout of the specification of 2018, and what sqlalchemy-migrate left, become the first Alembic revision.

--@ when column clients.config_id
ALTER TABLE clients CHANGE config_id client_id VARCHAR(255) NOT NULL;

--@ when column sessions.scheduling
ALTER TABLE sessions CHANGE scheduling schedule TEXT;

--@ when column jobs.scheduling
ALTER TABLE jobs CHANGE scheduling schedule TEXT;

-- The client of a backup goes into its metadata, where the reference has it.
--@ when column backups.client_id
--@ call keep_backup_columns

--@ when column backups.client_id
ALTER TABLE backups DROP COLUMN client_id;
