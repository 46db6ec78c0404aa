-- Takes back what 0005 added

--@ when table freezer_api_backup_series
DROP TABLE freezer_api_backup_series;

--@ when table freezer_api_series
DROP TABLE freezer_api_series;

--@ when index backups.ix_backups_created
DROP INDEX ix_backups_created ON backups;
