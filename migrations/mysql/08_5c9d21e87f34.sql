-- 5c9d21e87f34: the status of a backup

--@ unless column backups.status
ALTER TABLE backups ADD COLUMN status VARCHAR(64) NOT NULL DEFAULT 'available';
