"""What is measured: programs with their databases, what is in those, and the requests."""

import concurrent.futures
import json
import os
import pathlib
import sys
import time
import typing

import engines
import requests
import services

ROOT = pathlib.Path(__file__).parent.parent
CLIENTS = 20
# As many connections as the reference has threads (2 processes with 4 each): it serves one connection a thread, and with
# more of them the rest would only wait.
CONNECTIONS = 8
BACKUP = {"backup_name": "etc", "container": "/var/backups", "hostname": "node1.example.org", "path_to_backup": "/etc",
          "time_stamp": 1700000000, "curr_backup_level": 0, "max_level": 7, "mode": "fs", "action": "backup",
          "engine_name": "tar", "storage": "local", "os_type": "linux", "always_level": "", "encrypted": False}
# Of which there are ten or twenty backups, however many others there are.
RARE = "name-7"


class Dev(services.Ours):
    """Our server without authentication."""

    def start(self):
        command = [self.programs / "freezer-api", "--dev", "--config-file", self.configuration]
        return services.Service("freezer-api", self.folder, command, f"{self.url}healthcheck")


class Before(services.Ours):
    """An earlier build of ours."""


class Floor:
    """The bare program on a database of ours."""

    def __init__(self, folder, programs, database_url):
        self.folder, self.port = folder, services.free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        database = database_url.replace("mysql+pymysql", "mysql").split("?")[0]
        self.command = [programs / "examples" / "floor", "--port", self.port, "--database", database]

    def start(self):
        return services.Service("floor", self.folder, self.command, f"{self.url}healthcheck")


class Rows(typing.NamedTuple):
    """How many there are."""
    jobs: int
    backups: int


class Subject:
    """A program under measurement: its server, and how to call it."""

    def __init__(self, title, kind, engine, folder, keystone, rows):
        self.title, self.engine, self.rows = title, engine, rows
        name = "".join(letter for letter in title.lower() if letter.isalnum() or letter == " ").replace(" ", "_")
        self.folder = folder / name
        self.folder.mkdir()
        self.database = engine.fresh(f"bench_{name}"[:60], self.folder)
        self.server = kind(self.folder, self.database, keystone)
        self.server.db_sync()
        self.token, self.project = ("none", "bench") if kind is Dev else services.token_for(keystone, "demo", "demo")
        self.base = f"/v2/{self.project}"
        self.session = None

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
        self.seed_session()
        return time.monotonic() - start

    def seed_session(self):
        """A session that began a moment ago, for a long time, so that all who start it join it."""
        with requests.Session() as session:
            self.session = self.post(session, "sessions", {"description": "nightly", "schedule": {}, "hold_off": 1_000_000})["session_id"]
            url = f"{self.server.url.rstrip('/')}{self.base}/sessions/{self.session}"
            answer = session.put(f"{url}/jobs/{self.jobs[0]}", headers={"X-Auth-Token": self.token}, timeout=60)
            answer.raise_for_status()
            self.post(session, f"sessions/{self.session}/action", {"start": {"job_id": self.jobs[0], "current_tag": 0}})

    def seed_share(self, share):
        """One worker's part; every tenth job of a client is completed."""
        jobs = []
        with requests.Session() as session:
            for number in range(share, self.rows.jobs, CONNECTIONS):
                made = self.post(session, "jobs", {
                    "client_id": client(number % CLIENTS), "description": f"job {number}",
                    "job_schedule": {"schedule_interval": "1 days", "status": "completed" if number // CLIENTS % 10 == 0 else "scheduled"},
                    "job_actions": [action("backup", number), action("admin", number)]})
                jobs.append(made["job_id"])
            for number in range(share, self.rows.backups, CONNECTIONS):
                self.post(session, "backups", {**BACKUP, "backup_name": f"name-{number % 50}", "time_stamp": 1700000000 + number})
        return jobs

    def measurements(self):
        """Name, method, paths, body and least seconds of each."""
        poll = {"match": [{"client_id": client(7)}], "match_not": [{"status": "completed"}]}
        named = {"match": [{"backup_name": RARE}]}
        yield "healthcheck", "GET", ["/healthcheck"], None, 1
        yield "home document", "GET", ["/v2/"], None, 1
        yield "get job", "GET", [f"{self.base}/jobs/{job}" for job in self.jobs], None, 1
        yield "list of 10 jobs", "GET", [f"{self.base}/jobs?limit=10"], None, 1
        yield "list of 10 backups", "GET", [f"{self.base}/backups?limit=10"], None, 1
        yield "10 backups of a name", "GET", [f"{self.base}/backups?limit=10"], named, 5
        yield "scheduler's poll, 10 jobs", "GET", [f"{self.base}/jobs?limit=10&offset=0"], poll, 30
        yield "scheduler's poll, 45 jobs", "GET", [f"{self.base}/jobs?limit=512&offset=0"], poll, 30  # seconds for one answer of the reference
        yield "post backup", "POST", [f"{self.base}/backups"], BACKUP, 1
        yield "patch job", "PATCH", [f"{self.base}/jobs/{job}" for job in self.jobs], {"job_schedule": {"status": "scheduled"}}, 1
        if self.session:
            start = {"start": {"job_id": self.jobs[0], "current_tag": 0}}
            yield "session start", "POST", [f"{self.base}/sessions/{self.session}/action"], start, 1

    def measure(self, method, paths, body, seconds, server):
        """What `seconds` of requests come to."""
        (self.folder / "paths").write_text("\n".join(paths))
        arguments = [method, self.token, self.folder / "paths"]
        if body is not None:
            (self.folder / "body").write_text(json.dumps(body))
            arguments.append(self.folder / "body")
        busy = Busy(server), Busy(self.engine.process(self.database))
        printed = services.run("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "-s", ROOT / "bench" / "requests.lua",
                               self.server.url, "--", *arguments)
        result = next(line for line in printed.splitlines() if line.startswith("result "))
        number, duration, p50, p99, errors = map(int, result.split()[1:])
        if errors or not number:
            sys.exit(f"{self.title}: {errors} of {number} answers to {method} {paths[0]} in {seconds} s were errors")
        settle(server)
        own, database = (one.seconds() / number * 1e6 for one in busy)
        return Measured(number / duration * 1e6, p50 / 1000, p99 / 1000, own, database)


class Grown(Subject):
    """Our server with so many rows: half of them in a thousand other projects, and as many again that were deleted, which are the oldest.
    A client has as many jobs whatever their number, and of one name there are ten backups."""

    CLIENT = "'node' || (seq % {clients}) || '.example.org'"
    COMMON = ("id, project_id, user_id, deleted, created_at",
              "'{kind}-' || seq, CASE WHEN seq % 2 = 1 THEN '{project}' ELSE 'p' || (seq % 1000) END, "
              "'u1', CASE WHEN seq <= {rows} THEN TRUE ELSE FALSE END, {created}")
    TABLES = {
        "jobs": ("client_id, session_tag, description, schedule",
                 CLIENT + ", 0, 'job ' || seq, '{{\"schedule_interval\":\"1 days\",\"status\":\"' || "
                 "CASE WHEN seq % ({clients} * 10) < {clients} THEN 'completed' ELSE 'scheduled' END || '\"}}'"),
        "actions": ("action, max_retries, max_retries_interval, backup_metadata", "'backup', 3, 60, '{action}'"),
        "backups": ("status, backup_metadata", "'available', '{backup}' || CASE WHEN seq > {rows} AND (seq - 1) % ({rows} / 10) = 0 THEN '{rare}' ELSE 'etc' END || "
                    "'\",\"number\":' || seq || '}}'"),
    }

    def __init__(self, kind, engine, folder, keystone, rows):
        super().__init__(f"{rows.jobs:,} jobs, {rows.backups:,} backups", kind, engine, folder, keystone, rows)

    def seed(self):
        start, clients = time.monotonic(), max(self.rows.jobs // 50, 20)
        with requests.Session() as session:
            for number in range(clients):
                self.post(session, "clients", {"client_id": client(number), "hostname": client(number)})
        backup = json.dumps({**{key: value for key, value in BACKUP.items() if key != "backup_name"}, "backup_name": ""})[:-2]
        filled = {"project": self.project, "clients": clients, "action": json.dumps(action("backup", 1)["freezer_action"]), "backup": backup,
                  "rare": RARE, "created": self.engine.created}
        rows = {"jobs": self.rows.jobs, "actions": self.rows.jobs, "backups": self.rows.backups}
        statements = [self.fill(table, count, filled) for table, count in rows.items()]
        jobs = self.rows.jobs
        statements.append(
            "INSERT INTO job_actions (id, job_id, action_id, position, deleted) SELECT 'entry-' || seq, 'job-' || seq, 'action-' || seq, 0, "
            f"CASE WHEN seq <= {jobs} THEN TRUE ELSE FALSE END FROM {self.engine.numbers.format(rows=2 * jobs)}")
        statements.append(self.engine.analyze("jobs, actions, job_actions, backups"))
        engines.execute(self.engine, self.database, statements)
        self.jobs = [f"job-{number}" for number in range(jobs + 1, 2 * jobs, 2)]
        return time.monotonic() - start

    def fill(self, table, rows, filled):
        columns, values = (", ".join(parts) for parts in zip(self.COMMON, self.TABLES[table]))
        return (f"INSERT INTO {table} ({columns}) SELECT {values.format(kind=table[:-1], rows=rows, **filled)} "
                f"FROM {self.engine.numbers.format(rows=2 * rows)}")


class FloorSubject(Subject):
    """The bare program, which has the rows of another subject."""

    def __init__(self, folder, other):
        self.title, self.other, self.engine = "floor: axum and sqlx alone", other, other.engine
        self.folder = folder / "floor"
        self.folder.mkdir()
        self.server = Floor(self.folder, other.server.programs, other.database)
        self.token, self.base, self.database, self.session = other.token, other.base, other.database, None

    def seed(self):
        self.jobs = self.other.jobs
        return 0

    def measurements(self):
        """Those that it can answer."""
        return (measurement for measurement in super().measurements()
                if measurement[0] not in ("list of 10 backups", "10 backups of a name", "patch job"))


class Measured(typing.NamedTuple):
    """Requests per second, the median and the 99th percentile in ms, and processor time of the server and of the database in µs a
    request, which other work on the machine changes little."""
    rate: float
    p50: float
    p99: float
    server: float
    database: float

    def __str__(self):
        return f"{self.rate:,.{0 if self.rate > 10 else 1}f} {self.p50:8.1f} {self.p99:8.1f} {self.server:8,.0f} {self.database:8,.0f}"


class Busy:
    """The processor time of a process and its children from now on; of none, none."""

    def __init__(self, pid):
        self.pid, self.start = pid, ticks(pid)

    def seconds(self):
        return max(ticks(self.pid) - self.start, 0) / os.sysconf("SC_CLK_TCK")


def ticks(pid):
    """The processor time of a process and its children so far, in clock ticks."""
    if pid is None:
        return 0
    total = 0
    for one in [pid, *services.children(pid)]:
        try:
            stat = pathlib.Path(f"/proc/{one}/stat").read_text()
        except FileNotFoundError:  # A connection was closed.
            continue
        # Of the process itself also what its former children took.
        total += sum(map(int, stat.rsplit(") ", 1)[1].split()[11:15 if one == pid else 13]))
    return total


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
