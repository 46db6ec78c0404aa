-- 29a2fd19eb86: the trusts of jobs

--@ unless table user_credentials
CREATE TABLE user_credentials (
    id VARCHAR(36) NOT NULL,
    trust_id VARCHAR(255) NOT NULL,
    trustor_user_id VARCHAR(64) NOT NULL,
    job_id VARCHAR(36) NOT NULL,
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted BOOL,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;
