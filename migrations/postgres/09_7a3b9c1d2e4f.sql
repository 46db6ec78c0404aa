-- 7a3b9c1d2e4f: user ids of 64 characters in jobs and sessions

ALTER TABLE jobs ALTER COLUMN user_id TYPE VARCHAR(64);

ALTER TABLE sessions ALTER COLUMN user_id TYPE VARCHAR(64);
