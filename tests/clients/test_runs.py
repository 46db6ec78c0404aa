"""Runs as the catalogue tells them, while freezer-scheduler 19.0.0 runs real agents: each ends in another way."""

import contextlib
import os
import signal
import socket
import subprocess
import time

import pytest

from services import PYTHON_PROGRAMS, Rest

HOST = "runner.example.org"


@pytest.fixture(scope="module")
def engine():
    """One is enough: tests/it has the statements on each."""
    return "mariadb"


@pytest.fixture(scope="module")
def client(api, keystone):
    return Rest(api, keystone)


class Scheduler:
    """freezer-scheduler of one host, which polls every second and runs several jobs at once."""

    def __init__(self, folder, keystone):
        self.folder = folder
        self.configuration = folder / "scheduler.conf"
        for name in ("jobs", "home", "storage"):
            (folder / name).mkdir()
        self.configuration.write_text(f"""[DEFAULT]
log_file = {folder}/scheduler.log
[scheduler]
client_id = {HOST}
interval = 1
jobs_dir = {folder}/jobs
no_daemon = true
concurrent_jobs = 8
[service_auth]
os_auth_url = {keystone}
os_username = demo
os_password = demo
os_project_name = demo
os_user_domain_name = Default
os_project_domain_name = Default
""")
        self.process = None

    def start(self):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        environment.update(HOME=str(self.folder / "home"), PATH=f"{PYTHON_PROGRAMS}:{environment['PATH']}")
        command = [str(PYTHON_PROGRAMS / "freezer-scheduler"), "--config-file", str(self.configuration), "start"]
        with open(self.folder / "scheduler.out", "ab") as output:
            # A group of its own, so that its agents end with it.
            self.process = subprocess.Popen(command, env=environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=output, start_new_session=True)

    def kill(self):
        """Ends it and its agents at once, as a host does that loses its power."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def log(self):
        log = self.folder / "scheduler.log"
        return log.read_text()[-6000:] if log.exists() else "nothing"


@pytest.fixture(scope="module")
def scheduler(keystone, engine, tmp_path_factory):
    scheduler = Scheduler(tmp_path_factory.mktemp(f"runner-{engine}"), keystone)
    scheduler.start()
    yield scheduler
    scheduler.kill()


def wait(what, condition, scheduler, seconds=120):
    """What the condition comes to, once it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what} did not come; the scheduler says:\n{scheduler.log()}")


def runs(client, job_id):
    """The runs of a job, the first one first."""
    return client.call("GET", f"report/runs?job_id={job_id}&sort=started_at:asc&limit=100")["runs"]


def states(client, job_id):
    return [run["state"] for run in runs(client, job_id)]


def backup(client, folder, name, action, **options):
    """A job that backs up a small folder; its id. (The scheduler of 19.0.0 breaks down at each job with an exec action.)"""
    source = folder / "source"
    source.mkdir(exist_ok=True)
    (source / "file").write_text("text")
    made = client.call("POST", "jobs", {"client_id": HOST, "description": name, "job_actions": [{
        "freezer_action": {"action": "backup", "mode": "fs", "backup_name": name, "path_to_backup": str(source),
                           "log_file": str(folder / f"{name}.log"), **action}, **options}]})
    return made["job_id"]


def abort(client, job_id):
    """Asks for the job to be broken off, and ends its agent, which the scheduler does not find when it is a script of Python."""
    client.call("POST", f"jobs/{job_id}/event", {"abort": None})
    pid = client.call("GET", f"jobs/{job_id}")["job_schedule"]["current_pid"]
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def ftp(port):
    """A storage at a port of this machine."""
    return {"storage": "ftp", "ftp_host": "127.0.0.1", "ftp_port": port, "ftp_username": "u", "ftp_password": "p",
            "container": "/backups"}


@pytest.fixture
def silence():
    """The port of a server that takes connections and says nothing, so that agents wait for it; for a minute."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_each_run_is_told_as_it_was(client, scheduler, silence):
    folder = scheduler.folder
    wait("the host", lambda: client.call("GET", "clients")["clients"], scheduler)
    good = backup(client, folder, "good", {"storage": "local", "container": str(folder / "storage")})
    bad = backup(client, folder, "bad", ftp(1), max_retries=2, max_retries_interval=1)
    aborted = backup(client, folder, "aborted", ftp(silence))
    removed = backup(client, folder, "removed", ftp(silence))
    killed = backup(client, folder, "killed", ftp(silence))

    def runs_an_agent(job_id):
        found = runs(client, job_id)
        return found and found[0]["attempts"] == 1

    for job_id in (aborted, removed, killed):
        wait("an agent", lambda job_id=job_id: runs_an_agent(job_id), scheduler)
        assert states(client, job_id) == ["running"]
    abort(client, aborted)
    client.call("DELETE", f"jobs/{removed}")
    assert states(client, removed) == ["removed"]

    wait("the end", lambda: states(client, good) == ["success"], scheduler)
    wait("the end", lambda: states(client, bad) == ["fail"], scheduler)
    wait("the end", lambda: states(client, aborted) == ["aborted"], scheduler)
    [run] = runs(client, good)
    assert (run["client_id"], run["actions"], run["attempts"]) == (HOST, ["backup"], 1)
    assert run["started_at"] <= run["ended_at"] and run["duration"] >= 0
    assert run["seen_started_at"] >= run["started_at"] and run["seen_ended_at"] >= run["ended_at"]
    [run] = runs(client, bad)
    assert run["attempts"] == 3

    # The host goes down and comes up: its scheduler says that the run has no end, and begins again.
    scheduler.kill()
    assert states(client, killed) == ["running"]
    scheduler.start()
    wait("the second run", lambda: states(client, killed) == ["lost", "running"], scheduler)
    wait("an agent", lambda: runs(client, killed)[-1]["attempts"], scheduler)
    abort(client, killed)
    wait("its end", lambda: states(client, killed) == ["lost", "aborted"], scheduler)
    assert states(client, good) == ["success"]
    assert states(client, bad) == ["fail"]
    assert states(client, removed) == ["removed"]
