-- 23c8ad2655a6: what a client can do

--@ unless column clients.supported_actions
ALTER TABLE clients ADD COLUMN supported_actions VARCHAR(255);

--@ unless column clients.supported_modes
ALTER TABLE clients ADD COLUMN supported_modes VARCHAR(255);

--@ unless column clients.supported_storages
ALTER TABLE clients ADD COLUMN supported_storages VARCHAR(255);

--@ unless column clients.supported_engines
ALTER TABLE clients ADD COLUMN supported_engines VARCHAR(255);

-- Clients of before could do all that there was.
UPDATE clients SET
    supported_actions = COALESCE(supported_actions, '["backup", "restore", "info", "admin", "exec"]'),
    supported_modes = COALESCE(supported_modes, '["fs", "mongo", "mysql", "sqlserver", "cinder", "glance", "cindernative", "nova"]'),
    supported_storages = COALESCE(supported_storages, '["local", "swift", "ssh", "s3", "ftp", "ftps"]'),
    supported_engines = COALESCE(supported_engines, '["tar", "rsync", "rsyncv2", "nova", "osbrick", "glance"]')
WHERE supported_actions IS NULL
    OR supported_modes IS NULL
    OR supported_storages IS NULL
    OR supported_engines IS NULL;
