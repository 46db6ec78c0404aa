"""The databases that are measured: how each is made and filled by SQL, and the processor time of its server."""

import os
import pathlib
import urllib.parse

import psycopg2
import services
import sqlalchemy as sa


class MariaDb:
    name, title = "mariadb", "MariaDB without fsync"
    numbers = "seq_1_to_{rows}"
    created = "TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND"

    def fresh(self, name, folder):
        return services.fresh_database(os.environ["FREEZER_TEST_MYSQL_URL"], name)

    def process(self, url):
        port = urllib.parse.urlsplit(os.environ["FREEZER_TEST_MYSQL_URL"]).port
        return int(services.run("pgrep", "--full", f"mariadbd.*--port={port}").split()[0])

    def prepare(self, connection):
        connection.exec_driver_sql("SET SESSION sql_mode = 'PIPES_AS_CONCAT'")

    def analyze(self, tables):
        return f"ANALYZE TABLE {tables}"


class Postgres:
    name, title = "postgresql", "PostgreSQL without fsync"
    numbers = "generate_series(1, {rows}) AS numbers (seq)"
    created = "TIMESTAMP '2024-01-01 00:00:00' + seq * INTERVAL '1 second'"

    def fresh(self, name, folder):
        return services.fresh_database(os.environ["FREEZER_TEST_POSTGRES_URL"], name)

    def process(self, url):
        """The parent of all sessions."""
        parts = urllib.parse.urlsplit(url)
        with psycopg2.connect(host=parts.hostname, port=parts.port, user=parts.username, password=parts.password,
                              dbname=parts.path.strip("/")) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            stat = pathlib.Path(f"/proc/{cursor.fetchone()[0]}/stat").read_text()
        return int(stat.rsplit(") ", 1)[1].split()[1])

    def prepare(self, connection):
        pass

    def analyze(self, tables):
        return f"ANALYZE {tables}"


class Sqlite:
    name, title = "sqlite", "SQLite with fsync"
    numbers = "(WITH RECURSIVE counted (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM counted WHERE seq < {rows}) SELECT seq FROM counted)"
    created = "strftime('%Y-%m-%d %H:%M:%S.000000', 1704067200 + seq, 'unixepoch')"

    def fresh(self, name, folder):
        return f"sqlite:///{folder}/{name}.db"

    def process(self, url):
        """It has none: the service does its work."""
        return None

    def prepare(self, connection):
        pass

    def analyze(self, tables):
        return "ANALYZE"


ENGINES = {kind.name: kind() for kind in (MariaDb, Postgres, Sqlite)}


def execute(engine, url, statements):
    """Runs statements without parameters in one transaction."""
    connector = sa.create_engine(url)
    with connector.begin() as connection:
        engine.prepare(connection)
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%") if connector.dialect.paramstyle in ("format", "pyformat") else statement)
    connector.dispose()
