-- 1333cef214d9: the first tables

--@ unless table action_reports
CREATE TABLE action_reports (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(36),
    user_id VARCHAR(64) NOT NULL,
    result VARCHAR(255),
    time_elapsed VARCHAR(255),
    report_date TIMESTAMP NULL DEFAULT NULL,
    log BLOB,
    deleted_at DATETIME,
    deleted BOOL,
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;

--@ unless table actions
CREATE TABLE actions (
    id VARCHAR(36) NOT NULL,
    action VARCHAR(255) NOT NULL,
    project_id VARCHAR(36),
    user_id VARCHAR(64) NOT NULL,
    actionmode VARCHAR(255),
    src_file VARCHAR(255),
    backup_name VARCHAR(255),
    container VARCHAR(255),
    timeout INTEGER,
    priority INTEGER,
    max_retries_interval INTEGER,
    max_retries INTEGER,
    mandatory BOOL,
    log_file VARCHAR(255),
    backup_metadata TEXT,
    deleted_at DATETIME,
    deleted BOOL,
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;

--@ unless table backups
CREATE TABLE backups (
    id VARCHAR(36) NOT NULL,
    job_id VARCHAR(36),
    project_id VARCHAR(36),
    user_id VARCHAR(64) NOT NULL,
    user_name VARCHAR(64) NOT NULL,
    backup_metadata TEXT,
    deleted_at DATETIME,
    deleted BOOL,
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;

--@ unless table clients
CREATE TABLE clients (
    id VARCHAR(255) NOT NULL,
    project_id VARCHAR(36),
    user_id VARCHAR(64) NOT NULL,
    client_id VARCHAR(255) NOT NULL,
    hostname VARCHAR(128),
    description VARCHAR(255),
    uuid VARCHAR(36) NOT NULL,
    deleted_at DATETIME,
    deleted BOOL,
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;

--@ unless table sessions
CREATE TABLE sessions (
    id VARCHAR(36) NOT NULL,
    session_tag INTEGER,
    description VARCHAR(255),
    hold_off INTEGER,
    schedule TEXT,
    job TEXT,
    project_id VARCHAR(36),
    user_id VARCHAR(36) NOT NULL,
    time_start INTEGER,
    time_end INTEGER,
    time_started INTEGER,
    time_ended INTEGER,
    status VARCHAR(255),
    result VARCHAR(255),
    deleted_at DATETIME,
    deleted BOOL,
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;

--@ unless table jobs
CREATE TABLE jobs (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(36),
    user_id VARCHAR(36) NOT NULL,
    schedule TEXT,
    client_id VARCHAR(255) NOT NULL,
    session_id VARCHAR(36),
    session_tag INTEGER,
    description VARCHAR(255),
    job_actions TEXT,
    deleted_at DATETIME,
    deleted BOOL,
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;
