-- e74c32f034c5: actions.src_file becomes path_to_backup

-- Its name at version 1 of sqlalchemy-migrate; version 3 has src_file renamed already.
--@ when column actions.mode
ALTER TABLE actions CHANGE mode actionmode VARCHAR(255);

--@ when column actions.src_file
ALTER TABLE actions CHANGE src_file path_to_backup VARCHAR(255);
