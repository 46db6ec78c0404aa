-- Takes back what 0009 added

--@ when table freezer_api_run_hours
DROP TABLE freezer_api_run_hours;

--@ when index backups.ix_backups_job
DROP INDEX ix_backups_job;
