-- 30a3fd20ec97: central clients

--@ unless column clients.is_central
ALTER TABLE clients ADD COLUMN is_central BOOLEAN DEFAULT 0 NOT NULL;
