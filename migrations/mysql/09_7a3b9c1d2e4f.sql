-- 7a3b9c1d2e4f: user ids of 64 characters in jobs and sessions

ALTER TABLE jobs MODIFY user_id VARCHAR(64) NOT NULL;

ALTER TABLE sessions MODIFY user_id VARCHAR(64) NOT NULL;
