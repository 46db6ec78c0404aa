-- Our own revision, and values of older layouts that have no place in a newer one

--@ unless table freezer_api_version
CREATE TABLE freezer_api_version (
    version_num VARCHAR(32) NOT NULL,
    PRIMARY KEY (version_num)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

--@ unless table freezer_api_leftovers
CREATE TABLE freezer_api_leftovers (
    table_name VARCHAR(32) NOT NULL,
    row_id VARCHAR(255) NOT NULL,
    column_name VARCHAR(32) NOT NULL,
    position INTEGER NOT NULL,
    value MEDIUMTEXT,
    reason VARCHAR(255) NOT NULL,
    PRIMARY KEY (table_name, row_id, column_name, position)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

--@ unless table alembic_version
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    PRIMARY KEY (version_num)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC;
