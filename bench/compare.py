"""The measurements of bench/run: prints one table with the ratios."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import typing
import urllib.parse

import requests
import sqlalchemy as sa

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "clients"))
import services  # noqa: E402

TARGET = ROOT / "target" / "bench-build"
CLIENTS, JOBS, BACKUPS = 20, 1000, 1000
# As many connections as the reference has threads (2 processes with 4 each): it serves one connection a thread, and with
# more of them the rest would only wait.
CONNECTIONS = 8
BACKUP = {"backup_name": "etc", "container": "/var/backups", "hostname": "node1.example.org", "path_to_backup": "/etc",
          "time_stamp": 1700000000, "curr_backup_level": 0, "max_level": 7, "mode": "fs", "action": "backup",
          "engine_name": "tar", "storage": "local", "os_type": "linux", "always_level": "", "encrypted": False}


class Dev(services.Ours):
    """Our server without authentication."""

    def start(self):
        command = [self.programs / "freezer-api", "--dev", "--config-file", self.configuration]
        return services.Service("freezer-api", self.folder, command, f"{self.url}healthcheck")


class Before(services.Ours):
    """An earlier build of ours."""


class Few(services.Ours):
    """Our server with few rows."""

    jobs, backups = 1_000, 10_000


class Many(services.Ours):
    """Our server with a hundred times as many."""

    jobs, backups = 100_000, 1_000_000


class Floor:
    """The bare program on a database of ours."""

    def __init__(self, folder, programs, database_url):
        self.folder, self.port = folder, services.free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        database = database_url.replace("mysql+pymysql", "mysql").split("?")[0]
        self.command = [programs / "examples" / "floor", "--port", self.port, "--database", database]

    def start(self):
        return services.Service("floor", self.folder, self.command, f"{self.url}healthcheck")


class Subject:
    """A program under measurement: its server, and how to call it."""

    def __init__(self, title, kind, folder, keystone):
        self.title = title
        folder = folder / kind.__name__.lower()
        folder.mkdir()
        self.folder = folder
        self.database = services.fresh_database(os.environ["FREEZER_TEST_MYSQL_URL"], f"bench_{kind.__name__.lower()}")
        self.server = kind(folder, self.database, keystone)
        self.server.db_sync()
        self.token, self.project = ("none", "bench") if kind is Dev else services.token_for(keystone, "demo", "demo")
        self.base = f"/v2/{self.project}"

    def post(self, session, path, document):
        answer = session.post(f"{self.server.url.rstrip('/')}{self.base}/{path}", json=document, timeout=60,
                              headers={"X-Auth-Token": self.token})
        answer.raise_for_status()
        return answer.json()

    def seed(self):
        """The same data through the REST API; returns the seconds that it took."""
        start = time.monotonic()
        with requests.Session() as session:
            for number in range(CLIENTS):
                self.post(session, "clients", {"client_id": client(number), "hostname": client(number)})
        with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as workers:
            self.jobs = [job for jobs in workers.map(self.seed_share, range(CONNECTIONS)) for job in jobs]
        return time.monotonic() - start

    def seed_share(self, share):
        """One worker's part; every tenth job of a client is completed."""
        jobs = []
        with requests.Session() as session:
            for number in range(share, JOBS, CONNECTIONS):
                made = self.post(session, "jobs", {
                    "client_id": client(number % CLIENTS), "description": f"job {number}",
                    "job_schedule": {"schedule_interval": "1 days", "status": "completed" if number // CLIENTS % 10 == 0 else "scheduled"},
                    "job_actions": [action("backup", number), action("admin", number)]})
                jobs.append(made["job_id"])
            for number in range(share, BACKUPS, CONNECTIONS):
                self.post(session, "backups", {**BACKUP, "backup_name": f"name-{number % 50}", "time_stamp": 1700000000 + number})
        return jobs

    def measurements(self):
        """Name, method, paths, body and least seconds of each."""
        poll = {"match": [{"client_id": client(7)}], "match_not": [{"status": "completed"}]}
        yield "healthcheck", "GET", ["/healthcheck"], None, 1
        yield "home document", "GET", ["/v2/"], None, 1
        yield "get job", "GET", [f"{self.base}/jobs/{job}" for job in self.jobs], None, 1
        yield "list of 10 jobs", "GET", [f"{self.base}/jobs?limit=10"], None, 1
        yield "list of 10 backups", "GET", [f"{self.base}/backups?limit=10"], None, 1
        yield "scheduler's poll, 10 jobs", "GET", [f"{self.base}/jobs?limit=10&offset=0"], poll, 30
        yield "scheduler's poll, 45 jobs", "GET", [f"{self.base}/jobs?limit=512&offset=0"], poll, 30  # seconds for one answer of the reference
        yield "post backup", "POST", [f"{self.base}/backups"], BACKUP, 1
        yield "patch job", "PATCH", [f"{self.base}/jobs/{job}" for job in self.jobs], {"job_schedule": {"status": "scheduled"}}, 1

    def measure(self, method, paths, body, seconds, server):
        """What `seconds` of requests come to."""
        (self.folder / "paths").write_text("\n".join(paths))
        arguments = [method, self.token, self.folder / "paths"]
        if body is not None:
            (self.folder / "body").write_text(json.dumps(body))
            arguments.append(self.folder / "body")
        busy = Busy(server), Busy(database_pid())
        printed = services.run("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "-s", ROOT / "bench" / "requests.lua",
                               self.server.url, "--", *arguments)
        result = next(line for line in printed.splitlines() if line.startswith("result "))
        number, duration, p99, errors = map(int, result.split()[1:])
        if errors or not number:
            sys.exit(f"{self.title}: {errors} of {number} answers to {method} {paths[0]} in {seconds} s were errors")
        settle(server)
        return Measured(number / duration * 1e6, p99 / 1000, busy[0].seconds() / number * 1e6, busy[1].seconds() / number * 1e6)


class Grown(Subject):
    """Our server with so many rows: half of them in a thousand other projects, and as many again that were deleted, which are the oldest.
    A client has as many jobs whatever their number."""

    CLIENT = "CONCAT('node', MOD(seq, {clients}), '.example.org')"
    COMMON = ("id, project_id, user_id, deleted, created_at", "CONCAT('{kind}-', seq), IF(MOD(seq, 2) = 1, '{project}', CONCAT('p', MOD(seq, 1000))), "
              "'u1', seq <= {rows}, TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq SECOND")
    TABLES = {
        "jobs": ("client_id, session_tag, description, schedule",
                 CLIENT + ", 0, CONCAT('job ', seq), CONCAT('{{\"schedule_interval\":\"1 days\",\"status\":\"', "
                 "IF(MOD(seq DIV {clients}, 10) = 0, 'completed', 'scheduled'), '\"}}')"),
        "actions": ("action, max_retries, max_retries_interval, backup_metadata", "'backup', 3, 60, '{action}'"),
        "backups": ("backup_metadata", "CONCAT('{backup}', seq, '}}')"),
    }

    def __init__(self, kind, folder, keystone):
        super().__init__(f"{kind.jobs:,} jobs, {kind.backups:,} backups", kind, folder, keystone)
        self.rows = {"jobs": kind.jobs, "actions": kind.jobs, "backups": kind.backups}

    def seed(self):
        start, clients = time.monotonic(), self.rows["jobs"] // 50
        with requests.Session() as session:
            for number in range(clients):
                self.post(session, "clients", {"client_id": client(number), "hostname": client(number)})
        backup = json.dumps({**BACKUP, "backup_name": "etc"})[:-1] + ', "number": '
        filled = {"project": self.project, "clients": clients, "action": json.dumps(action("backup", 1)["freezer_action"]), "backup": backup}
        engine = sa.create_engine(self.database)
        with engine.begin() as connection:
            for table, rows in self.rows.items():
                columns, values = (", ".join(parts) for parts in zip(self.COMMON, self.TABLES[table]))
                statement = f"INSERT INTO {table} ({columns}) SELECT {values.format(kind=table[:-1], rows=rows, **filled)} FROM seq_1_to_{2 * rows}"
                connection.exec_driver_sql(statement.replace("%", "%%"))
            jobs = self.rows["jobs"]
            connection.exec_driver_sql(
                "INSERT INTO job_actions (id, job_id, action_id, position, deleted) SELECT CONCAT('entry-', seq), CONCAT('job-', seq), "
                f"CONCAT('action-', seq), 0, seq <= {jobs} FROM seq_1_to_{2 * jobs}")
            connection.exec_driver_sql("ANALYZE TABLE jobs, actions, job_actions, backups")
        engine.dispose()
        self.jobs = [f"job-{number}" for number in range(jobs + 1, 2 * jobs, 2)]
        return time.monotonic() - start


class FloorSubject(Subject):
    """The bare program, which has the rows of another subject."""

    def __init__(self, folder, other):
        self.title, self.other = "floor: axum and sqlx alone", other
        self.folder = folder / "floor"
        self.folder.mkdir()
        self.server = Floor(self.folder, other.server.programs, other.database)
        self.token, self.base = other.token, other.base

    def seed(self):
        self.jobs = self.other.jobs
        return 0

    def measurements(self):
        """Those that it can answer."""
        return (measurement for measurement in super().measurements()
                if measurement[0] not in ("list of 10 backups", "patch job"))


class Measured(typing.NamedTuple):
    """Requests per second, the 99th percentile in ms, and processor time of the server and of MariaDB in µs a request, which
    other work on the machine changes little."""
    rate: float
    p99: float
    server: float
    database: float

    @classmethod
    def median(cls, rounds):
        return cls(*map(statistics.median, zip(*rounds)))

    def __str__(self):
        return f"{self.rate:,.{0 if self.rate > 10 else 1}f} {self.p99:9.1f} {self.server:8,.0f} {self.database:8,.0f}"


class Busy:
    """The processor time of a process and its children from now on."""

    def __init__(self, pid):
        self.pid, self.start = pid, ticks(pid)

    def seconds(self):
        return (ticks(self.pid) - self.start) / os.sysconf("SC_CLK_TCK")


def ticks(pid):
    """The processor time of a process and its children so far, in clock ticks."""
    stats = (pathlib.Path(f"/proc/{one}/stat").read_text() for one in [pid, *services.children(pid)])
    return sum(sum(map(int, stat.rsplit(") ", 1)[1].split()[11:13])) for stat in stats)


def database_pid():
    """MariaDB's process."""
    found = services.run("pgrep", "--full", f"mariadbd.*--port={urllib.parse.urlsplit(os.environ['FREEZER_TEST_MYSQL_URL']).port}")
    return int(found.split()[0])


def client(number):
    return f"node{number}.example.org"


def action(name, number):
    return {"freezer_action": {"action": name, "mode": "fs", "backup_name": f"name-{number % 50}", "container": "/var/backups",
                               "path_to_backup": "/etc", "storage": "local", "engine_name": "tar", "remove_older_than": 30},
            "max_retries": 3, "max_retries_interval": 60}


def resident(pid):
    """Resident memory in MB of a process and its children."""
    pages = sum(int(pathlib.Path(f"/proc/{one}/statm").read_text().split()[1]) for one in [pid, *services.children(pid)])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def settle(pid):
    """Waits until the server has done with the requests that wrk gave up at the end of its time."""
    for _ in range(60):
        before = ticks(pid)
        time.sleep(0.5)
        if ticks(pid) - before <= 2:
            return


def build():
    """A release build from clean, with the crates on disk already, into a folder of its own: the folder of the programs, seconds, and
    seconds of processor time, which other work on the machine changes little."""
    shutil.rmtree(TARGET, ignore_errors=True)
    subprocess.run(["cargo", "fetch", "--quiet", "--locked"], cwd=ROOT, check=True)
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["cargo", "build", "--quiet", "--release", "--locked", "--target-dir", str(TARGET)], cwd=ROOT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return TARGET / "release", time.monotonic() - start, processor


def start_up(subject, times=3):
    """Median seconds from the start of the process to the first answer."""
    taken = []
    for _ in range(times):
        start = time.monotonic()
        with subject.server.start():
            taken.append(time.monotonic() - start)
    return statistics.median(taken)


def row(name, cells, ratios=()):
    print(f"{name:<30}" + "".join(f"{str(cell):>42}" for cell in cells) + "".join(f"{ratio:>10}" for ratio in ratios), flush=True)


def compare(subjects, seconds, rounds, wanted):
    row("", [subject.title for subject in subjects], ["ratio"] * (len(subjects) - 1))
    row("", ["req/s    p99 ms   µs own    µs db"] * len(subjects))
    row("start-up, s", [f"{start_up(subject):.2f}" for subject in subjects])
    running = [subject.server.start() for subject in subjects]
    try:
        row("resident memory idle, MB", [f"{resident(service.process.pid):.0f}" for service in running])
        row("seeding by 8 writers, s", [f"{subject.seed():.0f}" for subject in subjects])
        peak = [0.0] * len(subjects)
        kinds = [{name: rest for name, *rest in subject.measurements()} for subject in subjects]
        for name in wanted or kinds[0]:
            results = [[] for _ in subjects]
            for _ in range(rounds):
                for index, subject in enumerate(subjects):
                    if name not in kinds[index]:
                        continue
                    method, paths, body, least = kinds[index][name]
                    server = running[index].process.pid
                    least = least if isinstance(subject.server, services.Reference) else 1
                    results[index].append(subject.measure(method, paths, body, max(seconds, least), server))
                    peak[index] = max(peak[index], resident(server))
            medians = [Measured.median(result) if result else None for result in results]
            row(name, [median or "" for median in medians],
                [f"{medians[0].rate / other.rate:,.2f}" if other else "" for other in medians[1:]])
        row("resident memory under load, MB", [f"{size:.0f}" for size in peak])
    finally:
        for service in running:
            service.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="ours without authentication")
    parser.add_argument("--no-build", action="store_true", help="take what the last run built")
    parser.add_argument("--before", metavar="FOLDER", type=pathlib.Path, help="measure the programs there instead of the reference")
    parser.add_argument("--floor", action="store_true", help="also a bare program with the same statements")
    parser.add_argument("--growth", action="store_true", help="ours with few and with many rows, instead of the reference")
    parser.add_argument("--only", choices=["ours", "reference"])
    parser.add_argument("--kinds", metavar="KIND", nargs="+", help="the kinds of request to measure, by the names in the table")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    options = parser.parse_args()
    keystone = os.environ["FREEZER_TEST_KEYSTONE_URL"]

    if options.only != "reference":
        programs, seconds, processor = (TARGET / "release", None, None) if options.no_build else build()
        services.Ours.programs = programs
        if seconds:
            print(f"release build from clean on {os.cpu_count()} cores: {seconds:.0f} s ({processor:.0f} s of processor time)")
        for name in ("freezer-api", "freezer-manage", "freezer-manager-status"):
            print(f"{name}: {(programs / name).stat().st_size / 1e6:.1f} MB")
    if not options.growth:
        print(f"{CLIENTS} clients, {JOBS} jobs of 2 actions, {BACKUPS} backups; the reference: freezer-api 19.0.0 under uWSGI, 2 processes of 4 threads.")
    print(f"MariaDB without fsync; wrk with {CONNECTIONS} connections, median of {options.rounds} rounds of {options.seconds} s; wrk, the server and\n"
          "MariaDB share the machine's cores.")
    if options.dev:
        print("NOTE: ours runs with --dev, that is without authentication and policy; the reference checks a token from its cache and\n"
              "its policy on every request. The ratios flatter ours by that work.")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if options.growth:
            compare([Grown(kind, folder, keystone) for kind in (Few, Many)], options.seconds, options.rounds, options.kinds)
            return
        subjects = []
        if options.only != "reference":
            subjects.append(Subject("ours --dev", Dev, folder, keystone) if options.dev
                            else Subject("ours, Keystone", services.Ours, folder, keystone))
        if options.before:
            Before.programs = options.before.absolute()
            subjects.append(Subject(f"ours, {options.before}"[-42:], Before, folder, keystone))
        elif options.only != "ours":
            subjects.append(Subject("reference, Keystone", services.Reference, folder, keystone))
        if options.floor:
            if not options.no_build:
                subprocess.run(["cargo", "build", "--quiet", "--release", "--locked", "--example", "floor", "--target-dir", str(TARGET)],
                               cwd=ROOT, check=True)
            subjects.append(FloorSubject(folder, subjects[0]))
        compare(subjects, options.seconds, options.rounds, options.kinds)


main()
