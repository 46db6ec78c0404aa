-- e74c32f034c5: actions.src_file becomes path_to_backup

--@ when column actions.src_file
ALTER TABLE actions CHANGE src_file path_to_backup VARCHAR(255);
