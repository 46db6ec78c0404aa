-- 30a3fd20ec97: central clients

--@ unless column clients.is_central
ALTER TABLE clients ADD COLUMN is_central BOOL NOT NULL DEFAULT FALSE;
