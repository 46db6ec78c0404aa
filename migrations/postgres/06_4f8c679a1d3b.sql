-- 4f8c679a1d3b: backups lose the name of their user. The names are kept among the leftovers.

--@ when column backups.user_name
INSERT INTO freezer_api_leftovers (table_name, row_id, column_name, position, value, reason)
SELECT 'backups', id, 'user_name', -1, user_name, 'the column was dropped by revision 4f8c679a1d3b'
FROM backups WHERE user_name IS NOT NULL AND user_name <> ''
ON CONFLICT DO NOTHING;

--@ when column backups.user_name
ALTER TABLE backups DROP COLUMN user_name;
