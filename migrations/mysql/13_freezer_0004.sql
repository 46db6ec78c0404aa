-- Ours, 0004: when schedulers polled, and who does what one node among all does

-- Times are seconds since 1970, by the clock of this service. Rows of hosts are written in batches, from what each node has seen of them.
--@ unless table freezer_api_client_activity
CREATE TABLE freezer_api_client_activity (
    project_id VARCHAR(36) NOT NULL,
    client_id VARCHAR(255) NOT NULL,
    last_poll_at BIGINT,
    poll_interval BIGINT,
    polls BIGINT NOT NULL,
    addresses BIGINT NOT NULL,
    restarts BIGINT NOT NULL,
    os VARCHAR(64),
    agent_version VARCHAR(64),
    PRIMARY KEY (project_id, client_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

--@ unless index freezer_api_client_activity.ix_freezer_api_client_activity_client
CREATE INDEX ix_freezer_api_client_activity_client ON freezer_api_client_activity (client_id);

-- since: from when on somebody has held it without a gap. done_at: when a holder came to the end of the work last.
--@ unless table freezer_api_leases
CREATE TABLE freezer_api_leases (
    name VARCHAR(64) NOT NULL,
    holder VARCHAR(36) NOT NULL,
    since BIGINT NOT NULL,
    held_until BIGINT NOT NULL,
    done_at BIGINT,
    PRIMARY KEY (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
