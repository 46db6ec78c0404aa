-- e74c32f034c5: actions.src_file becomes path_to_backup

--@ when column actions.src_file
ALTER TABLE actions RENAME COLUMN src_file TO path_to_backup;
