"""Runs as the catalogue tells them, while freezer-scheduler 19.0.0 runs real agents: each ends in another way."""

import contextlib
import os
import signal
import socket

import pytest

import services
from conftest import database_url
from services import HOST, Scheduler

OTHER = "second.example.org"


@pytest.fixture(scope="module")
def engine():
    """One is enough: tests/it has the statements on each."""
    return "mariadb"


class Node:
    """Our server, which can be killed and started again at the same address."""

    def __init__(self, folder, engine, keystone):
        self.server = services.Ours(folder, database_url(engine, "clients_runs", folder), keystone)
        self.server.db_sync()
        self.start()

    def start(self):
        self.service = self.server.start()

    def kill(self):
        self.service.process.kill()
        self.service.process.wait()


@pytest.fixture(scope="module")
def node(engine, keystone, tmp_path_factory):
    node = Node(tmp_path_factory.mktemp("api"), engine, keystone)
    services.publish(keystone, node.server.url)
    yield node
    node.service.stop()


@pytest.fixture(scope="module")
def api(node):
    return node.server.url


@pytest.fixture(scope="module")
def other(client, keystone, tmp_path_factory):
    """The scheduler of another host."""
    with Scheduler(tmp_path_factory.mktemp("other"), keystone, OTHER) as scheduler:
        yield scheduler


def runs(client, job_id):
    """The runs of a job, the first one first."""
    return client.call("GET", f"report/runs?job_id={job_id}&sort=started_at:asc&limit=100")["runs"]


def states(client, job_id):
    return [run["state"] for run in runs(client, job_id)]


def backup(client, folder, name, action, host=HOST, schedule=None, **options):
    """A job that backs up a small folder; its id. (The scheduler of 19.0.0 breaks down at each job with an exec action.)"""
    source = folder / "source"
    source.mkdir(exist_ok=True)
    (source / "file").write_text("text")
    made = client.call("POST", "jobs", {"client_id": host, "description": name, "job_schedule": schedule or {}, "job_actions": [{
        "freezer_action": {"action": "backup", "mode": "fs", "backup_name": name, "path_to_backup": str(source),
                           "log_file": str(folder / f"{name}.log"), **action}, **options}]})
    return made["job_id"]


def agent_of(client, job_id):
    """The process id of a job's agent."""
    return client.call("GET", f"jobs/{job_id}")["job_schedule"]["current_pid"]


def abort(client, job_id):
    """Asks for the job to be broken off, and ends its agent, which the scheduler does not find when it is a script of Python."""
    client.call("POST", f"jobs/{job_id}/event", {"abort": None})
    with contextlib.suppress(ProcessLookupError):
        os.kill(agent_of(client, job_id), signal.SIGTERM)


def ftp(port):
    """A storage at a port of this machine."""
    return {"storage": "ftp", "ftp_host": "127.0.0.1", "ftp_port": port, "ftp_username": "u", "ftp_password": "p",
            "container": "/backups"}


@pytest.fixture
def silence():
    """A server that takes connections and says nothing, so that agents wait for it, for a minute, or until it is closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def port(server):
    return server.getsockname()[1]


def has_agent(client, job_id):
    """Whether a run of a job has started its agent."""
    found = runs(client, job_id)
    return bool(found) and found[0]["attempts"] == 1


def is_gone(pid):
    """Whether a process has ended, and its parent has taken note."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def polls(scheduler):
    return scheduler.log().count("Polling for jobs from API")


def errors(scheduler):
    """How many reports have failed."""
    return scheduler.log().count("Job update error")


def test_each_run_is_told_as_it_was(client, scheduler, silence):
    folder = scheduler.folder
    good = backup(client, folder, "good", {"storage": "local", "container": str(folder / "storage")})
    bad = backup(client, folder, "bad", ftp(1), max_retries=2, max_retries_interval=1)
    aborted = backup(client, folder, "aborted", ftp(port(silence)))
    removed = backup(client, folder, "removed", ftp(port(silence)))
    killed = backup(client, folder, "killed", ftp(port(silence)))

    for job_id in (aborted, removed, killed):
        scheduler.wait("an agent", lambda job_id=job_id: has_agent(client, job_id))
        assert states(client, job_id) == ["running"]
    # Horizon's form sends three members of the schedule, whatever goes on.
    client.call("PATCH", f"jobs/{removed}", {"job_schedule": {
        "schedule_start_date": "2023-01-01T00:00:00", "schedule_interval": "2 days", "schedule_end_date": "2033-01-01T00:00:00"}})
    assert states(client, removed) == ["running"]
    abort(client, aborted)
    client.call("DELETE", f"jobs/{removed}")
    assert states(client, removed) == ["removed"]

    scheduler.wait("the end", lambda: states(client, good) == ["success"])
    scheduler.wait("the end", lambda: states(client, bad) == ["fail"])
    scheduler.wait("the end", lambda: states(client, aborted) == ["aborted"])
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
    scheduler.wait("the second run", lambda: states(client, killed) == ["lost", "running"])
    scheduler.wait("an agent", lambda: runs(client, killed)[-1]["attempts"])
    abort(client, killed)
    scheduler.wait("its end", lambda: states(client, killed) == ["lost", "aborted"])
    assert states(client, good) == ["success"]
    assert states(client, bad) == ["fail"]
    assert states(client, removed) == ["removed"]


def test_a_job_that_is_stopped_ends_its_run_and_begins_no_other(client, scheduler, silence):
    stopped = backup(client, scheduler.folder, "stopped", ftp(port(silence)), schedule={"schedule_interval": "2 seconds"}, max_retries=0)
    scheduler.wait("an agent", lambda: has_agent(client, stopped))
    client.call("POST", f"jobs/{stopped}/event", {"stop": None})
    before = polls(scheduler)
    scheduler.wait("word of it", lambda: polls(scheduler) > before + 1)
    assert states(client, stopped) == ["running"]
    silence.close()
    # A scheduler that polls at the moment of the end finds the event once more, and writes "stop" over its "completed".
    scheduler.wait("the end", lambda: client.call("GET", f"jobs/{stopped}")["job_schedule"]["status"] in ("completed", "stop"))
    assert states(client, stopped) == ["fail"]


def test_an_end_that_nobody_heard_is_told_with_the_next_start(client, scheduler, node, silence):
    unheard = backup(client, scheduler.folder, "unheard", ftp(port(silence)), schedule={"schedule_interval": "2 seconds"}, max_retries=0)
    scheduler.wait("an agent", lambda: has_agent(client, unheard))
    assert states(client, unheard) == ["running"]
    agent = agent_of(client, unheard)
    node.kill()
    silence.close()
    # The report of the agent may have been under way, and be the first that fails; that of the end comes after the agent's own end. Where
    # it has failed before the count, that of the next start, two seconds later, tells the same.
    scheduler.wait("the agent's end", lambda: is_gone(agent))
    before = errors(scheduler)
    scheduler.wait("the end", lambda: errors(scheduler) > before)
    node.start()
    scheduler.wait("the next run", lambda: "fail" in states(client, unheard))
    [first, *_] = runs(client, unheard)
    assert (first["state"], first["ended_at"], first["duration"]) == ("unreported", None, None), runs(client, unheard)
    client.call("DELETE", f"jobs/{unheard}")


def test_a_session_of_two_hosts(client, scheduler, other):
    other.wait("the host", lambda: len(client.call("GET", "clients")["clients"]) == 2)
    jobs = {}
    for host, folder in ((HOST, scheduler.folder), (OTHER, other.folder)):
        action = {"storage": "local", "container": str(folder / "storage")}
        jobs[host] = backup(client, folder, "together", action, host=host, schedule={"status": "stop"})
    # A scheduler that has read its job before writes the session of then, none, when it takes the job up.
    for one in (scheduler, other):
        before = polls(one)
        one.wait("the job", lambda one=one, before=before: polls(one) > before + 1)
    session = client.call("POST", "sessions", {"description": "together", "schedule": {}})["session_id"]
    for job_id in jobs.values():
        client.call("PUT", f"sessions/{session}/jobs/{job_id}")
    for job_id in jobs.values():
        client.call("POST", f"jobs/{job_id}/event", {"start": None})
    for host, job_id in jobs.items():
        scheduler.wait("the end", lambda job_id=job_id: states(client, job_id) == ["success"])
        [run] = runs(client, job_id)
        assert (run["client_id"], run["session_id"]) == (host, session)
    shown = client.call("GET", f"sessions/{session}")
    assert (shown["session_tag"], shown["status"], shown["result"]) == (1, "completed", "success")
