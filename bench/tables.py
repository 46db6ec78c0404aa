"""The measurements of bench/tables: prints one table, a line for each tool."""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import sqlalchemy as sa

ROOT = pathlib.Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests" / "clients"), str(ROOT / "tests" / "oracle")]
import layouts  # noqa: E402
import services  # noqa: E402

TARGET = ROOT / "target" / "bench-build"
# Every second backup was deleted long ago, and every twentieth job.
FILL = """
INSERT INTO clients (created_at, deleted, user_id, id, project_id, config_id, hostname, description, uuid)
SELECT '2024-01-01', 0, 'u1', CONCAT('client-', seq), CONCAT('p', seq % 10), CONCAT('node', seq), CONCAT('node', seq), '',
       CONCAT('client-', seq)
FROM seq_1_to_1000;
INSERT INTO actions (created_at, deleted, id, action, project_id, user_id, mode, src_file, backup_name, max_retries, backup_metadata)
SELECT '2024-01-01', 0, CONCAT('action-', seq), 'backup', CONCAT('p', seq % 10), 'u1', 'fs', '/etc', 'etc', 5,
       '{"action": "backup", "mode": "fs", "backup_name": "etc", "path_to_backup": "/etc"}'
FROM seq_1_to_1000;
INSERT INTO jobs (created_at, deleted, deleted_at, id, project_id, user_id, scheduling, client_id, session_id, description, job_actions)
SELECT '2024-01-01', seq % 20 = 0, IF(seq % 20 = 0, '2024-02-01', NULL), CONCAT('job-', seq), CONCAT('p', seq % 10), 'u1',
       '{"schedule_interval": "1 days", "status": "scheduled", "event": ""}', CONCAT('node', 1 + (seq + 999) % 1000), '', 'nightly',
       CONCAT('[{"action_id": "action-', 1 + (seq + 999) % 1000,
              '", "freezer_action": {"action": "backup", "mode": "fs", "backup_name": "etc", "path_to_backup": "/etc"}},',
              ' {"freezer_action": {"action": "admin", "container": "/var/backups", "remove_older_than": 30}}]')
FROM seq_1_to_{jobs};
INSERT INTO backups (created_at, deleted, deleted_at, id, client_id, job_id, project_id, user_id, user_name, backup_metadata)
SELECT '2024-01-01', seq % 2, IF(seq % 2, '2024-02-01', NULL), CONCAT('backup-', seq), CONCAT('node', 1 + (seq + 999) % 1000),
       CONCAT('job-', 1 + seq % {jobs}), CONCAT('p', seq % 10), 'u1', 'admin',
       CONCAT('{"backup_name": "etc", "container": "/var/backups", "hostname": "node1.example.org", "path_to_backup": "/etc", ',
              '"time_stamp": ', 1700000000 + seq, ', "curr_backup_level": 0, "max_level": 7, "mode": "fs", "action": "backup", ',
              '"engine_name": "tar", "storage": "local", "os_type": "linux", "always_level": "", "encrypted": false}')
FROM seq_1_to_{backups}
"""


def fill(url, backups):
    engine = sa.create_engine(url)
    layouts.make_tables(engine, url, "spec")
    with engine.begin() as connection:
        for statement in FILL.split(";\n"):
            filled = statement.replace("{backups}", str(backups)).replace("{jobs}", str(backups // 10))
            connection.exec_driver_sql(filled.replace("%", "%%"))


def measure(configuration, *arguments):
    """Runs `freezer-manage db …`; its seconds and its peak of resident memory in MB."""
    command = [TARGET / "release" / "freezer-manage", "--config-file", configuration, "db", *map(str, arguments)]
    start, peak = time.monotonic(), 0
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        # Not what `wait4` says: to the kernel, the peak of this program was the child's before it became another.
        while child.poll() is None:
            peak = max(peak, resident_peak(child.pid))
            time.sleep(0.01)
        seconds = time.monotonic() - start
        output.seek(0)
        printed = output.read().decode()
    if child.returncode != 0:
        sys.exit(f"db {arguments[0]} exits with {child.returncode}: {printed[-2000:]}")
    return seconds, peak / 1024


def resident_peak(pid):
    """The peak of a process's resident memory in KB; 0 when it has none any more."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def main():
    parser = argparse.ArgumentParser(prog="bench/tables")
    parser.add_argument("--backups", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--no-build", action="store_true")
    options = parser.parse_args()
    if not options.no_build:
        subprocess.run(["cargo", "build", "--release", "--locked", "--target-dir", TARGET], cwd=ROOT, check=True)
    print("| backups | jobs | command | seconds | peak memory, MB |\n|---|---|---|---|---|", flush=True)
    for backups in options.backups:
        with tempfile.TemporaryDirectory() as folder:
            url = services.fresh_database(os.environ["FREEZER_TEST_MYSQL_URL"], f"bench_tables_{backups}")
            fill(url, backups)
            configuration = pathlib.Path(folder) / "freezer-api.conf"
            configuration.write_text(f"[database]\nconnection = {url}\n")
            copy = f"sqlite:///{folder}/copy.db"
            for arguments in (["sync"], ["check"], ["copy", "--from", url, "--to", copy], ["purge", "--older-than", "30d"]):
                seconds, memory = measure(configuration, *arguments)
                print(f"| {backups:,} | {backups // 10:,} | db {arguments[0]} | {seconds:.1f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
