"""freezer-scheduler 19.0.0 and freezer-agent: a folder is backed up and brought back through the API under test."""

import os
import random
import subprocess
import time

import pytest

from services import PYTHON_PROGRAMS, Rest

CLIENT = "node1.example.org"


@pytest.fixture(scope="module")
def client(api, keystone):
    return Rest(api, keystone)


@pytest.fixture(scope="module")
def folders(engine, tmp_path_factory):
    """A folder with things that a backup must not lose, beside places for the backup and the restored folder; one set an engine."""
    base = tmp_path_factory.mktemp(f"host-{engine}")
    source = base / "source"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "empty").mkdir()
    (source / "names with spaces é 漢").write_text("text — é 漢\n")
    (source / "deep" / "er" / "random").write_bytes(random.Random(19).randbytes(3_000_000))
    (source / "deep" / "nothing").write_bytes(b"")
    (source / "link").symlink_to("deep/er/random")
    for name in ("storage", "restored", "jobs", "home"):
        (base / name).mkdir()
    return base


@pytest.fixture(scope="module")
def scheduler(api, keystone, folders):
    """The scheduler of one host, polling every second."""
    configuration = folders / "scheduler.conf"
    configuration.write_text(f"""[DEFAULT]
log_file = {folders}/scheduler.log
[scheduler]
client_id = {CLIENT}
interval = 1
jobs_dir = {folders}/jobs
no_daemon = true
[service_auth]
os_auth_url = {keystone}
os_username = demo
os_password = demo
os_project_name = demo
os_user_domain_name = Default
os_project_domain_name = Default
""")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    environment.update(HOME=str(folders / "home"), PATH=f"{PYTHON_PROGRAMS}:{environment['PATH']}")
    command = [PYTHON_PROGRAMS / "freezer-scheduler", "--config-file", configuration, "start"]
    with open(folders / "scheduler.out", "wb") as output:
        process = subprocess.Popen([str(word) for word in command], env=environment, cwd=folders, stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=output)
    yield folders / "scheduler.log"
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def finished(client, job_id, log, seconds=120):
    """The job, once the scheduler has reported its end."""
    deadline = time.monotonic() + seconds
    seen = []
    while time.monotonic() < deadline:
        job = client.call("GET", f"jobs/{job_id}")
        schedule = job["job_schedule"]
        status = (schedule.get("status"), schedule.get("result"))
        if status not in seen:
            seen.append(status)
        if schedule.get("status") == "completed":
            return job, seen
        time.sleep(0.2)
    raise AssertionError(f"the job went through {seen}; the scheduler says:\n{log.read_text()[-4000:]}")


def contents(folder):
    """Every path below a folder with its kind and bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("folder", None)
        else:
            found[name] = ("file", path.read_bytes())
    return found


def test_the_scheduler_registers_its_host(client, scheduler):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        known = [entry["client"]["client_id"] for entry in client.call("GET", "clients")["clients"]]
        if known == [CLIENT]:
            return
        time.sleep(0.2)
    raise AssertionError(f"clients: {known}; the scheduler says:\n{scheduler.read_text()[-4000:]}")


def test_a_folder_is_backed_up(client, scheduler, folders):
    made = client.call("POST", "jobs", {"client_id": CLIENT, "description": "back up", "job_actions": [{
        "freezer_action": {"action": "backup", "mode": "fs", "backup_name": "tree", "storage": "local",
                           "path_to_backup": str(folders / "source"), "container": str(folders / "storage"),
                           "log_file": str(folders / "agent.log")},
        "max_retries": 0}]})
    job, seen = finished(client, made["job_id"], scheduler)
    assert job["job_schedule"]["result"] == "success", scheduler.read_text()[-4000:]
    assert ("running", "") in seen
    assert job["job_schedule"]["current_pid"] > 0
    assert job["job_schedule"]["time_ended"] >= job["job_schedule"]["time_started"] > 0

    [backup] = client.call("GET", "backups")["backups"]
    assert backup["status"] == "available"
    metadata = backup["backup_metadata"]
    assert (metadata["backup_name"], metadata["job_id"]) == ("tree", made["job_id"])
    assert metadata["container"] == str(folders / "storage")


def test_the_folder_comes_back(client, scheduler, folders):
    made = client.call("POST", "jobs", {"client_id": CLIENT, "description": "restore", "job_actions": [{
        "freezer_action": {"action": "restore", "mode": "fs", "backup_name": "tree", "storage": "local",
                           "restore_abs_path": str(folders / "restored"), "container": str(folders / "storage"),
                           "log_file": str(folders / "agent.log")},
        "max_retries": 0}]})
    job, _ = finished(client, made["job_id"], scheduler)
    assert job["job_schedule"]["result"] == "success", scheduler.read_text()[-4000:]
    wanted = contents(folders / "source")
    assert len(wanted) == 7
    assert contents(folders / "restored") == wanted
