"""The measurements of bench/page: fills a catalogue by SQL and has chromium look at it (page.mjs)."""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import sqlalchemy as sa

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "clients"))
import services  # noqa: E402

TARGET = ROOT / "target" / "bench-build"
HOSTS, JOBS, RUNS = 5_000, 100_000, 1_000_000
# Half of the hosts are in the project that is looked at, the others in forty more. Each job has run once a day; each run but the failed ones
# has made a backup. Every 700th host has done nothing for days, every 500th scheduler has fallen silent.
FILL = """
INSERT INTO clients (id, project_id, user_id, client_id, hostname, description, uuid, deleted, created_at)
SELECT CONCAT('client-', seq), {project}, 'u1', CONCAT('node', seq, '.example.org'), CONCAT('node', seq, '.example.org'), '', CONCAT('client-', seq), 0,
       FROM_UNIXTIME({now} - 8640000)
FROM (SELECT seq, seq AS host FROM seq_1_to_{hosts}) s;
INSERT INTO freezer_api_client_activity (project_id, client_id, last_poll_at, poll_interval, polls, addresses, restarts, os, agent_version)
SELECT {project}, CONCAT('node', host, '.example.org'), {now} - IF(host MOD 500 = 0, 300000, 0), 3600, 1000, 1, 1, 'linux', '19.0.0'
FROM (SELECT seq, seq AS host FROM seq_1_to_{hosts}) s;
INSERT INTO jobs (id, project_id, user_id, client_id, session_tag, description, schedule, deleted, created_at)
SELECT CONCAT('job-', seq), {project}, 'u1', CONCAT('node', host, '.example.org'), 0, CONCAT('/srv/data', seq, ', each day'),
       '{{"schedule_interval": "1 days", "status": "scheduled", "event": ""}}', 0, FROM_UNIXTIME({now} - 8640000 + seq)
FROM (SELECT seq, 1 + seq MOD {hosts} AS host FROM seq_1_to_{jobs}) s;
INSERT INTO actions (id, action, project_id, user_id, backup_metadata, max_retries, max_retries_interval, deleted, created_at)
SELECT CONCAT('action-', seq), 'backup', {project}, 'u1', CONCAT('{{"action": "backup", "mode": "fs", "backup_name": "data', seq, '", "path_to_backup": "/srv/data', seq, '", '
       '"container": "/var/backups", "storage": "local", "engine_name": "tar"}}'), 3, 60, 0, FROM_UNIXTIME({now} - 8640000)
FROM (SELECT seq, 1 + seq MOD {hosts} AS host FROM seq_1_to_{jobs}) s;
INSERT INTO job_actions (id, job_id, action_id, position, deleted)
SELECT CONCAT('entry-', seq), CONCAT('job-', seq), CONCAT('action-', seq), 0, 0 FROM seq_1_to_{jobs};
INSERT INTO freezer_api_runs (id, project_id, job_id, client_id, actions, state, attempts, started_at, ended_at, seen_started_at, seen_ended_at)
SELECT CONCAT('run-', seq), {project}, CONCAT('job-', job), CONCAT('node', host, '.example.org'), 'backup', state, 1, started,
       IF(state = 'running', NULL, started + 60 + job MOD 3000), started + 1, IF(state = 'running', NULL, started + 61 + job MOD 3000)
FROM {runs_made} WHERE {is_there};
INSERT INTO backups (id, project_id, user_id, job_id, backup_metadata, deleted, created_at)
SELECT CONCAT('backup-', seq), {project}, 'u1', CONCAT('job-', job), CONCAT('{{"backup_name": "data', job, '", "container": "/var/backups", "hostname": "node',
       host, '.example.org", "path_to_backup": "/srv/data', job, '", "time_stamp": ', started, ', "curr_backup_level": 0, "max_level": 7, "mode": "fs", '
       '"action": "backup", "engine_name": "tar", "storage": "local", "client_os": "linux", "client_version": "19.0.0"}}'),
       0, FROM_UNIXTIME(started + 60 + job MOD 3000)
FROM {runs_made} WHERE {is_there} AND state = 'success';
ANALYZE TABLE clients, jobs, actions, job_actions, backups, freezer_api_runs
"""
# The newest runs come last. Most are at night.
RUNS_MADE = """(SELECT seq, job, 1 + job MOD {hosts} AS host,
  {now} - 43200 - 86400 * ({days} - 1 - (seq - 1) DIV {jobs}) - (job * 7919) MOD 28800 AS started,
  CASE WHEN seq > {runs} - {jobs} AND job MOD 3000 = 5 THEN 'running' WHEN (job * 31 + seq DIV {jobs}) MOD 300 = 7 THEN 'fail' ELSE 'success' END AS state
  FROM (SELECT seq, 1 + (seq - 1) MOD {jobs} AS job FROM seq_1_to_{runs}) n) s"""


def fill(url, share):
    numbers = {"hosts": HOSTS // share, "jobs": JOBS // share, "runs": RUNS // share, "days": RUNS // JOBS, "now": int(time.time())}
    values = {**numbers, "project": "IF(host MOD 2 = 1, 'demo', CONCAT('project-', host MOD 80))", "runs_made": RUNS_MADE.format(**numbers),
              "is_there": f"NOT (host MOD 700 = 0 AND seq > {numbers['runs'] - 4 * numbers['jobs']})"}
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("SET time_zone = '+00:00'")
        for statement in FILL.split(";\n"):
            connection.exec_driver_sql(statement.format(**values).replace("%", "%%"))
    engine.dispose()


def main():
    parser = argparse.ArgumentParser(prog="bench/page")
    parser.add_argument("--programs", type=pathlib.Path)
    parser.add_argument("--share", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--filled", metavar="URL")
    options = parser.parse_args()
    if not options.programs:
        subprocess.run(["cargo", "build", "--release", "--locked", "--target-dir", TARGET], cwd=ROOT, check=True)
    programs = (options.programs or TARGET / "release").absolute()
    url = options.filled or services.fresh_database(os.environ["FREEZER_TEST_MYSQL_URL"], "bench_page")
    with tempfile.TemporaryDirectory() as folder:
        configuration, port = pathlib.Path(folder) / "freezer-api.conf", services.free_port()
        configuration.write_text(f"[DEFAULT]\nbind_port = {port}\n[database]\nconnection = {url}\n")
        manage = [programs / "freezer-manage", "--config-file", configuration]
        steps = [("the tables", lambda: services.run(*manage, "db", "sync")), ("filling them", lambda: fill(url, options.share)),
                 ("freezer-manage report rebuild", lambda: services.run(*manage, "report", "rebuild"))]
        for name, step in [] if options.filled else steps:
            start = time.monotonic()
            step()
            print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
        address = f"http://127.0.0.1:{port}/"
        with services.Service("freezer-api", folder, [programs / "freezer-api", "--dev", "--config-file", configuration], f"{address}healthcheck"):
            sys.exit(subprocess.run(["node", ROOT / "bench" / "page.mjs", address, str(options.rounds)]).returncode)


main()
