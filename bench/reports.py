"""The measurements of bench/reports: fills a catalogue by SQL, and asks a service without authentication for every report."""

import argparse
import collections
import contextlib
import functools
import itertools
import math
import multiprocessing
import os
import pathlib
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import requests
import sqlalchemy as sa

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "clients"))
import services  # noqa: E402

TARGET = ROOT / "target" / "bench-build"
SERVERS = {"mariadb": "FREEZER_TEST_MYSQL_URL", "postgres": "FREEZER_TEST_POSTGRES_URL"}
# Each job has run once a day and made a backup of most days. Half of the hosts are in the project p0, which has 50,000 runs a day, the others
# in 25 more.
CLIENTS, JOBS, BACKUPS_OF_JOB, RUNS_OF_JOB, PROJECTS = 5_000, 100_000, 10, 13, 50
PROBLEMS, DAYS, DAY, HOUR, YEAR = 10_000, 1_000, 86_400, 3_600, 31_536_000
# Each is asked of the project p0, and with all_projects of all; the others name one thing.
LISTS = ["problems?limit=50", "problems?limit=1000", "problems?limit=50&kind=overdue", "problems?limit=50&severity=red",
         "problems?limit=50&client_id=c8", "hosts?limit=50", "hosts?limit=50&state=silent", "hosts?limit=50&sort=last_success_at",
         "hosts?limit=50&sort=due_at:desc", "jobs?limit=50", "jobs?limit=50&sort=created_at:desc", "jobs?limit=50&client_id=c8",
         "runs?limit=50", "runs?limit=1000", "runs?limit=50&sort=started_at:asc", "runs?limit=50&state=fail&state=lost",
         "runs?limit=50&state=running", "runs?limit=50&job_id=j8", "runs?limit=50&client_id=c8", "days", "series?limit=50",
         "series?limit=50&hostname=c8", "series?limit=50&job_id=j8"]
# How long an overview is shown, in seconds.
SUMMARY_AGE = 15
# What somebody who looks at the page asks for.
LOOK = ["summary", "problems?limit=10", "hosts?limit=50", "jobs?limit=50", "days"]


class Words:
    """What the engines call things."""

    def __init__(self, engine):
        self.engine = engine

    def numbers(self, count):
        """A table of the numbers n from 1."""
        return {"sqlite": f"(WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count}) SELECT n FROM c) q",
                "mariadb": f"(SELECT seq AS n FROM seq_1_to_{count}) q", "postgres": f"generate_series(1, {count}) AS q (n)"}[self.engine]

    def text(self, *parts):
        """Parts in turn: a text, a number."""
        parts = [f"'{part}'" if place % 2 == 0 else f"({part})" for place, part in enumerate(parts)]
        return f"CONCAT({', '.join(parts)})" if self.engine == "mariadb" else " || ".join(parts)

    def quotient(self, number, divisor):
        return f"({number}) {'DIV' if self.engine == 'mariadb' else '/'} {divisor}"

    def time(self, seconds):
        return {"sqlite": f"datetime({seconds}, 'unixepoch') || '.000000'", "mariadb": f"FROM_UNIXTIME({seconds})",
                "postgres": f"to_timestamp({seconds}) AT TIME ZONE 'UTC'"}[self.engine]


def statements(words, now, share):
    """What fills each table: a table, its columns with their values, and how many rows."""
    text, clients, jobs = words.text, CLIENTS // share, JOBS // share
    number = f"(n % {jobs} + 1)"
    hosts = {"n": "n", "number": number}

    def client(of):
        return text("c", f"{hosts[of]} % {clients}")

    def project(of):
        return f"CASE WHEN {hosts[of]} % 2 = 0 THEN 'p0' ELSE {text('p', f'({hosts[of]} % {clients}) % {PROJECTS}')} END"

    document = {"user_id": "'u'", "deleted": "FALSE", "created_at": words.time(f"{now - YEAR} + n")}
    own, of_job = {"project_id": project("n"), "client_id": client("n")}, {"project_id": project("number"), "job_id": text("j", number)}
    started = f"({now} - 60 - {DAY} * ({words.quotient('n', jobs)}) - ({number} * 7919) % 80000)"
    metadata = text('{"hostname":"c', f"{number} % {clients}", '","backup_name":"n', number,
                    '","container":"/backups","storage":"local","mode":"fs","engine_name":"tar","path_to_backup":"/etc","time_stamp":', started, '}')
    state = "CASE WHEN n % 97 = 0 THEN 'fail' WHEN n % 1009 = 0 THEN 'lost' ELSE 'success' END"
    yield "clients", clients, {**document, **own, "id": text("k", "n"), "uuid": text("k", "n"), "hostname": own["client_id"], "is_central": "FALSE"}
    yield "jobs", jobs, {**document, **own, "id": text("j", "n"), "session_tag": 0, "description": text("job ", "n"),
                         "schedule": "'{\"schedule_interval\":\"1 days\",\"status\":\"scheduled\"}'"}
    yield "backups", jobs * BACKUPS_OF_JOB, {**document, **of_job, "id": text("b", "n"), "status": "'available'", "backup_metadata": metadata,
                                             "created_at": words.time(f"{started} + 60")}
    yield "freezer_api_runs", jobs * RUNS_OF_JOB, {**of_job, "id": text("r", "n"), "client_id": client("number"), "actions": "'backup'",
                                                   "state": state, "attempts": 1, "started_at": started, "ended_at": f"{started} + 50",
                                                   "seen_started_at": started, "seen_ended_at": f"{started} + 50"}
    yield "freezer_api_series", jobs, {"project_id": own["project_id"], "id": text("s", "n"), "job_id": text("j", "n"), "hostname": own["client_id"],
                                       "backups": BACKUPS_OF_JOB, "backup_name": text("n", "n"), "first_at": now - 10 * DAY,
                                       "last_at": f"{now} - n % 80000", "last_backup_id": text("b", "n")}
    yield "freezer_api_backup_series", jobs * BACKUPS_OF_JOB, {"backup_id": text("b", "n"), "series_id": text("s", number), "created_at": f"{started} + 60"}
    yield "freezer_api_client_activity", clients, {**own, "last_poll_at": f"{now} - n % 400", "poll_interval": 60, "polls": 1000,
                                                   "addresses": 1, "restarts": 1}
    yield "freezer_api_hosts", clients, {**own, "id": text("h", "n"), "is_central": "FALSE", "is_registered": "TRUE",
                                         "state": "CASE WHEN n % 50 = 0 THEN 'silent' ELSE 'alive' END", "findings": "''", "jobs": 20,
                                         "active_jobs": 20, "is_protected": "TRUE", "last_success_at": f"{now} - n", "due_at": f"{now} + n * 20",
                                         "running": 0, "failed_in_a_row": 0, "job_findings": "''", "is_red": "CASE WHEN n % 30 = 0 THEN TRUE ELSE FALSE END"}
    yield "freezer_api_problems", PROBLEMS // share, {**own, "id": text("q", "n"), "job_id": text("j", "n"), "since": f"{now} - n", "failed_in_a_row": 1,
                                                      "urgency": "CASE n % 3 WHEN 0 THEN 10 WHEN 1 THEN 20 ELSE 70 END"}
    yield "freezer_api_run_days", PROJECTS * DAYS, {"project_id": text("p", f"n % {PROJECTS}"), "state": "'success'", "runs": 2000,
                                                    "day": f"{now // DAY} - ({words.quotient('n', PROJECTS)})", "seconds": 60_000, "longest": 600}


def hours(words, now):
    """What adds up the runs of the last hours, as rounds do."""
    for project in ("project_id", "'*'"):
        groups = ["project_id"] if project == "project_id" else []
        hour = words.quotient("started_at", HOUR)
        yield (f"INSERT INTO freezer_api_run_hours (project_id, hour, state, runs, seconds, longest) SELECT {project}, {hour}, state, COUNT(*), 0, 0 "
               f"FROM freezer_api_runs WHERE started_at >= {now - 2 * DAY} GROUP BY {', '.join([*groups, hour, 'state'])}")


# So that filling takes a minute or two, and MariaDB's pool has room for what reports read, as that of a catalogue of this size has. SQLite's
# settings end with the connection.
PREPARED = {"mariadb": ["SET time_zone = '+00:00'", "SET unique_checks = 0", "SET GLOBAL innodb_buffer_pool_size = 1610612736"], "postgres": [],
            "sqlite": ["PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -1500000"]}


def fill(url, engine, share):
    """Fills the tables. Both leases are held by nobody, so that no node has rounds meanwhile."""
    now, words = int(time.time()), Words(engine)
    with sa.create_engine(url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        def run(statement):
            connection.exec_driver_sql(statement if engine == "sqlite" else statement.replace("%", "%%"))
        for statement in PREPARED[engine]:
            run(statement)
        for table, count, columns in statements(words, now, share):
            values = ", ".join(str(value) for value in columns.values())
            run(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {words.numbers(count)}")
            run(f"ANALYZE TABLE {table}" if engine == "mariadb" else f"ANALYZE {table}")
        for statement in hours(words, now):
            run(statement)
        for lease in ("rounds", "series"):
            run(f"INSERT INTO freezer_api_leases (name, holder, since, held_until, done_at) VALUES ('{lease}', 'nobody', {now}, {now + DAY}, {now})")


def percentile(taken, share):
    """The time that this share of requests did not go beyond."""
    return sorted(taken)[max(math.ceil(len(taken) * share) - 1, 0)]


class Measure:
    """Asks for reports, and keeps the milliseconds that each took."""

    def __init__(self, url, pid):
        self.url, self.pid, self.taken, self.next = url, pid, collections.defaultdict(list), 0
        self.session = requests.Session()
        self.grown = [("the start", memory(pid)[0])]

    def ask(self, project, path, name=None):
        begun = time.perf_counter()
        self.session.get(f"{self.url}v2/{project}/report/{path}", timeout=120).raise_for_status()
        self.taken[name or path].append((time.perf_counter() - begun) * 1000)

    def ask_for_summaries(self, projects):
        """Overviews are read anew when their time is over, so they are asked for among the other reports."""
        if time.monotonic() < self.next:
            return
        self.next = time.monotonic() + SUMMARY_AGE + 1
        for project in projects:
            self.ask(project, "summary", "summary" if project == "p0" else "summary of a smaller project")
        self.ask("p0", "summary?all_projects=true")

    def every_report(self, jobs, times):
        every = [f"{path}{'&' if '?' in path else '?'}all_projects=true" for path in LISTS]
        smaller = [f"p{number}" for number in range(1, PROJECTS, 2)]
        for path in [*LISTS, "hosts/c8", "series/s8/backups?limit=50", f"backups/b{jobs + 7}/restore", *every]:
            for number in range(times + 1):
                self.ask_for_summaries(["p0", *smaller])
                self.ask("p0", path)
                if number == 0:
                    # What is asked for the first time prepares statements.
                    self.taken[path].clear()
            most, _ = memory(self.pid)
            if most > self.grown[-1][1] + 1:
                self.grown.append((path, most))


def overviews(engine, url, programs, configuration, folder, options):
    """Asks several services, none of which has read an overview before, for all of them: each reads those of 26 projects and that of all anew, again and
    again when their time is over. The milliseconds of the large project's, of the smaller ones', and of that of all."""
    taken = collections.defaultdict(list)
    with contextlib.ExitStack() as stack:
        services_of = []
        for number in range(options.nodes):
            own, port = configuration.with_name(f"node{number}.conf"), services.free_port()
            own.write_text(f"[DEFAULT]\nbind_port = {port}\n[database]\nconnection = {url}\n")
            command = [programs / "freezer-api", "--dev", "--config-file", own]
            node = services.Service(f"node{number}", folder, command, f"http://127.0.0.1:{port}/healthcheck")
            stack.enter_context(node)
            services_of.append(Measure(f"http://127.0.0.1:{port}/", node.process.pid))
        for turn in range(options.turns):
            begun = time.monotonic()
            for node in services_of:
                # What is asked for the first time opens connections and prepares statements.
                for project in [*(["p1"] if turn == 0 else []), "p0", *(f"p{number}" for number in range(3, PROJECTS, 2))]:
                    node.ask(project, "summary", "the large project" if project == "p0" else "a smaller project")
                node.ask("p0", "summary?all_projects=true", "all projects")
            time.sleep(max(SUMMARY_AGE + 1 - (time.monotonic() - begun), 0))
        for node in services_of:
            for name, times in node.taken.items():
                taken[name].extend(times[1:] if name == "a smaller project" else times)
    for name, times in [*taken.items(), ("any of them", [one for times in taken.values() for one in times])]:
        print(f"{engine}: the overview of {name}: median {statistics.median(times):.1f} ms, p99 {percentile(times, 0.99):.1f} ms, most {max(times):.1f} ms "
              f"of {len(times)}", flush=True)


def look(url, pause):
    """Somebody has the page open, and another one that of all projects, until they are ended."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with requests.Session() as session:
        for path in itertools.cycle(LOOK):
            for all_projects in ("false", "true"):
                sign = "&" if "?" in path else "?"
                session.get(f"{url}v2/p0/report/{path}{sign}all_projects={all_projects}", timeout=120).raise_for_status()
            time.sleep(pause)


def be_schedulers(url, seconds, clients, jobs):
    """Polls, changes jobs without a word of runs, and tells of starts and ends of runs, one after the other: the milliseconds of each."""
    taken, end = ([], [], [], []), time.monotonic() + seconds
    polls, plain, starts, ends = taken
    with requests.Session() as session:
        def timed(taken, method, path, body):
            begun = time.perf_counter()
            session.request(method, f"{url}v2/p0/jobs{path}", json=body, timeout=120).raise_for_status()
            taken.append((time.perf_counter() - begun) * 1000)
        for number in itertools.count(0, 2):
            if time.monotonic() > end:
                return taken
            search = {"match": [{"client_id": f"c{number % clients}"}], "match_not": [{"status": "completed"}]}
            timed(polls, "GET", "?limit=10&offset=0", search)
            started, path = int(time.time()), f"/j{2 + number % (jobs - 2)}"
            for changes, status, ended, result in ((starts, "running", -1, ""), (ends, "scheduled", started, "success")):
                schedule = {"status": status, "time_started": started, "time_ended": ended, "result": result, "schedule_interval": "1 days"}
                timed(changes, "PATCH", path, {"job_schedule": schedule})
            # What it takes without runs: the same schedule, which tells nothing new of them, but another interval.
            timed(plain, "PATCH", path, {"job_schedule": {**schedule, "schedule_interval": "2 days"}})


def beside_each_other(url, clients, jobs, seconds, rounds=3):
    """Schedulers alone and beside two who look at the page, in turn: the medians of polls and changes of each."""
    taken = {False: ([], [], [], []), True: ([], [], [], [])}
    be_schedulers(url, 1, clients, jobs)
    for is_looked_at in [False, True] * rounds:
        if is_looked_at:
            looking = multiprocessing.Process(target=look, args=(url, 0.5), daemon=True)
            looking.start()
        for all_taken, some in zip(taken[is_looked_at], be_schedulers(url, seconds, clients, jobs), strict=True):
            all_taken.extend(some)
        if is_looked_at:
            looking.terminate()
            looking.join()
    return {is_looked_at: [statistics.median(one) for one in both] for is_looked_at, both in taken.items()}


def memory(pid):
    """The most resident memory so far, and that of now, in MiB."""
    lines = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return [int(lines[name].split()[0]) / 1024 for name in ("VmHWM", "VmRSS")]


def measure(engine, url, programs, folder, options):
    """Prints what one engine is seen to do; the reports that took too long."""
    configuration, port = pathlib.Path(folder) / "freezer-api.conf", services.free_port()
    configuration.write_text(f"[DEFAULT]\nbind_port = {port}\n[database]\nconnection = {url}\n")
    manage = [programs / "freezer-manage", "--config-file", configuration]
    services.run(*manage, "db", "sync")
    begun = time.monotonic()
    fill(url, engine, options.share)
    print(f"{engine}: filled in {time.monotonic() - begun:.0f} s, load {os.getloadavg()[0]:.1f}", flush=True)
    address, clients, jobs = f"http://127.0.0.1:{port}/", CLIENTS // options.share, JOBS // options.share
    server = services.Service("freezer-api", folder, [programs / "freezer-api", "--dev", "--config-file", configuration], f"{address}healthcheck")
    with server:
        reports = Measure(address, server.process.pid)
        reports.every_report(jobs, options.times)
        for path, taken in reports.taken.items():
            print(f"{engine:9}{path:62}median {statistics.median(taken):7.1f} ms   p99 {percentile(taken, 0.99):7.1f} ms of {len(taken)}", flush=True)
        print(f"{engine}: most memory after " + ", ".join(f"{path}: {most:.0f} MiB" for path, most in reports.grown), flush=True)
        medians = beside_each_other(address, clients, jobs, options.seconds)
        for place, name in enumerate(["a poll", "a change that tells nothing of runs", "one that tells the start of a run", "one that tells its end"]):
            alone, beside = medians[False][place], medians[True][place]
            print(f"{engine}: {name}: {alone:.2f} ms, {beside:.2f} ms beside two who look at reports ({beside / alone:.2f})", flush=True)
        print(f"{engine}: memory, most and now: {' and '.join(f'{mib:.0f}' for mib in memory(server.process.pid))} MiB", flush=True)
    overviews(engine, url, programs, configuration, folder, options)
    if options.round:
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime, time.monotonic()
        services.run(*manage, "report", "rebuild")
        used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        print(f"{engine}: a round without rests, and all series: {time.monotonic() - begun:.0f} s, {used:.0f} s of the processor beside the database", flush=True)
    return [f"{engine} {path}" for path, taken in reports.taken.items() if statistics.median(taken) > 50]


def main():
    parser = argparse.ArgumentParser(prog="bench/reports")
    parser.add_argument("--programs", type=pathlib.Path)
    parser.add_argument("--share", type=int, default=1)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--round", action="store_true")
    parser.add_argument("engines", nargs="*", default=["sqlite", *SERVERS])
    options = parser.parse_args()
    # As Ctrl-C does: what was started is stopped, and what was filled is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not options.programs:
        subprocess.run(["cargo", "build", "--release", "--locked", "--target-dir", TARGET], cwd=ROOT, check=True)
    programs, slow = (options.programs or TARGET / "release").absolute(), []
    for engine in options.engines:
        with tempfile.TemporaryDirectory() as folder:
            url, empty = f"sqlite:///{folder}/reports.db", None
            if engine in SERVERS:
                empty = functools.partial(services.fresh_database, os.environ[SERVERS[engine]], "bench_reports")
                url = empty()
            try:
                slow.extend(measure(engine, url, programs, folder, options))
            finally:
                if empty:
                    # Millions of rows.
                    empty()
    print("\n".join(f"over 50 ms: {path}" for path in slow) or "no report takes more than 50 ms")
    sys.exit(1 if slow else 0)


if __name__ == "__main__":
    main()
