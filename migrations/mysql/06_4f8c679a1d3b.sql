-- 4f8c679a1d3b: backups lose the name of their user. The names go into the metadata.

--@ when column backups.user_name
--@ call keep_backup_columns

--@ when column backups.user_name
ALTER TABLE backups DROP COLUMN user_name;
