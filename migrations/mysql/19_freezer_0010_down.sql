-- Takes back what 0010 added

--@ when index backups.ix_backups_metadata_job_id
ALTER TABLE backups
    DROP INDEX ix_backups_metadata_backup_name,
    DROP INDEX ix_backups_metadata_hostname,
    DROP INDEX ix_backups_metadata_container,
    DROP INDEX ix_backups_metadata_client_id,
    DROP INDEX ix_backups_metadata_job_id;

--@ when column backups.metadata_job_id
ALTER TABLE backups
    DROP COLUMN metadata_backup_name,
    DROP COLUMN metadata_hostname,
    DROP COLUMN metadata_container,
    DROP COLUMN metadata_client_id,
    DROP COLUMN metadata_job_id;
