"""The measurements of bench/run: prints one table with the ratios."""

import argparse
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "clients"))
import services  # noqa: E402

import engines  # noqa: E402
from subjects import CLIENTS, CONNECTIONS, Before, Dev, FloorSubject, Grown, Measured, Rows, Subject, resident  # noqa: E402

TARGET = ROOT / "target" / "bench-build"
SAME = Rows(1_000, 1_000)
FEW, MANY = Rows(1_000, 10_000), Rows(100_000, 1_000_000)
# What the short form measures: whether the measurements work.
SHORT, SHORT_FEW, SHORT_MANY = Rows(50, 100), Rows(100, 100), Rows(200, 1_000)
SHORT_KINDS = ["get job", "10 backups of a name", "post backup"]
SHORT_KINDS_OF_ALL = ["healthcheck", "scheduler's poll, 10 jobs", "patch job", "session start", *SHORT_KINDS]


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
    print(f"{name:<30}" + "".join(f"{str(cell):>50}" for cell in cells) + "".join(f"{ratio:>10}" for ratio in ratios), flush=True)


def compare(subjects, seconds, rounds, wanted):
    """Prints the table; what was measured of each kind, by the subjects."""
    row("", [subject.title for subject in subjects], ["ratio"] * (len(subjects) - 1))
    row("", ["req/s   p50 ms   p99 ms   µs own    µs db"] * len(subjects))
    row("start-up, s", [f"{start_up(subject):.2f}" for subject in subjects])
    running = [subject.server.start() for subject in subjects]
    measured = {}
    try:
        row("resident memory idle, MB", [f"{resident(service.process.pid):.0f}" for service in running])
        row("seeding, s", [f"{subject.seed():.0f}" for subject in subjects])
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
            medians = [median(result) if result else None for result in results]
            measured[name] = medians
            row(name, [one or "" for one in medians],
                [f"{medians[0].rate / other.rate:,.2f}" if other else "" for other in medians[1:]])
        row("resident memory under load, MB", [f"{size:.0f}" for size in peak])
    finally:
        for service in running:
            service.stop()
    return measured


def median(rounds):
    return Measured(*map(statistics.median, zip(*rounds)))


def compared(options, engine, folder, keystone):
    """What stands beside each other."""
    if options.growth:
        few, many = (SHORT_FEW, SHORT_MANY) if options.short else (FEW, MANY)
        return [Grown(services.Ours, engine, folder, keystone, rows) for rows in (few, many)]
    rows = SHORT if options.short else SAME
    subjects = []
    if options.only != "reference":
        title, kind = ("ours --dev", Dev) if options.dev else ("ours, Keystone", services.Ours)
        subjects.append(Subject(title, kind, engine, folder, keystone, rows))
    if options.before:
        Before.programs = options.before.absolute()
        subjects.append(Subject(f"ours, {options.before}"[-42:], Before, engine, folder, keystone, rows))
    elif options.only != "ours":
        subjects.append(Subject("reference, Keystone", services.Reference, engine, folder, keystone, rows))
    if options.floor:
        subjects.append(FloorSubject(folder, subjects[0]))
    return subjects


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--engine", choices=engines.ENGINES, default="mariadb")
    parser.add_argument("--dev", action="store_true", help="ours without authentication")
    parser.add_argument("--no-build", action="store_true", help="take what the last run built")
    parser.add_argument("--before", metavar="FOLDER", type=pathlib.Path, help="measure the programs there instead of the reference")
    parser.add_argument("--floor", action="store_true", help="also a bare program with the same statements")
    parser.add_argument("--growth", action="store_true", help="ours with few and with many rows, instead of the reference")
    parser.add_argument("--only", choices=["ours", "reference"])
    parser.add_argument("--kinds", metavar="KIND", nargs="+", help="the kinds of request to measure, by the names in the table")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    parser.add_argument("--short", action="store_true",
                        help="whether it works: few rows, one round of a second, and the programs of FREEZER_TEST_BIN; its figures mean nothing")
    parser.add_argument("--write", metavar="FOLDER", type=pathlib.Path, help="write tables and plots there")
    options = parser.parse_args()
    if options.engine != "mariadb" and not options.growth:
        # The reference cannot make its tables on PostgreSQL; the bare program has MariaDB's statements.
        if options.floor or options.only == "reference":
            parser.error("--floor and the reference are for MariaDB")
        options.only = options.only or (None if options.before else "ours")
    if options.short:
        options.seconds, options.rounds, options.no_build = 1, 1, True
        options.only = options.only or "ours"
        options.kinds = options.kinds or (SHORT_KINDS if options.growth else SHORT_KINDS_OF_ALL)
    return options


def prepare_programs(options):
    """Builds what is measured, and says what that took."""
    if options.short:
        floor = ["--example", "floor"] if options.floor else []
        subprocess.run(["cargo", "build", "--quiet", "--bins", *floor], cwd=ROOT, check=True)
        return
    if options.only != "reference":
        programs, seconds, processor = (TARGET / "release", None, None) if options.no_build else build()
        services.Ours.programs = programs
        if seconds:
            print(f"release build from clean on {os.cpu_count()} cores: {seconds:.0f} s ({processor:.0f} s of processor time)")
        for name in ("freezer-api", "freezer-manage", "freezer-manager-status"):
            print(f"{name}: {(programs / name).stat().st_size / 1e6:.1f} MB")
    if options.floor and not options.no_build:
        subprocess.run(["cargo", "build", "--quiet", "--release", "--locked", "--example", "floor", "--target-dir", str(TARGET)],
                       cwd=ROOT, check=True)


def main():
    options = arguments()
    engine = engines.ENGINES[options.engine]
    prepare_programs(options)
    if not options.growth:
        rows = SHORT if options.short else SAME
        print(f"{CLIENTS} clients, {rows.jobs} jobs of 2 actions, {rows.backups} backups; the reference: freezer-api 19.0.0 under uWSGI, "
              "2 processes of 4 threads.")
    print(f"{engine.title}; wrk with {CONNECTIONS} connections, median of {options.rounds} rounds of {options.seconds} s; wrk, the server and\n"
          "the database share the machine's cores.")
    if options.dev:
        print("NOTE: ours runs with --dev, that is without authentication and policy; the reference checks a token from its cache and\n"
              "its policy on every request. The ratios flatter ours by that work.")
    with tempfile.TemporaryDirectory() as folder:
        subjects = compared(options, engine, pathlib.Path(folder), os.environ["FREEZER_TEST_KEYSTONE_URL"])
        measured = compare(subjects, options.seconds, options.rounds, options.kinds)
    if options.write:
        import report  # It takes a package that only plots need.

        name = f"{options.engine}-{'growth' if options.growth else 'before' if options.before else 'compared'}"
        report.write(options.write, name, [subject.title for subject in subjects], measured, options.growth)


main()
