-- Takes back what 0010 added

--@ when index backups.ix_backups_metadata_backup_name
DROP INDEX ix_backups_metadata_backup_name;

--@ when index backups.ix_backups_metadata_hostname
DROP INDEX ix_backups_metadata_hostname;

--@ when index backups.ix_backups_metadata_container
DROP INDEX ix_backups_metadata_container;

--@ when index backups.ix_backups_metadata_client_id
DROP INDEX ix_backups_metadata_client_id;

--@ when index backups.ix_backups_metadata_job_id
DROP INDEX ix_backups_metadata_job_id;
