"""freezer-scheduler 19.0.0 and freezer-agent: a folder is backed up and brought back through the API under test."""

import os
import random

import pytest

from services import HOST

@pytest.fixture(scope="module")
def folders(scheduler):
    """A folder with things that a backup must not lose, beside places for the backup and the restored folder; one set an engine."""
    base = scheduler.folder
    source = base / "source"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "empty").mkdir()
    (source / "names with spaces é 漢").write_text("text — é 漢\n")
    (source / "deep" / "er" / "random").write_bytes(random.Random(19).randbytes(3_000_000))
    (source / "deep" / "nothing").write_bytes(b"")
    (source / "link").symlink_to("deep/er/random")
    (base / "restored").mkdir()
    return base


def finished(client, job_id, scheduler):
    """The job, once the scheduler has reported its end."""
    seen = []

    def completed():
        job = client.call("GET", f"jobs/{job_id}")
        schedule = job["job_schedule"]
        seen.append((schedule.get("status"), schedule.get("result")))
        return job if schedule.get("status") == "completed" else None

    return scheduler.wait("the end of the job", completed), seen


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
    assert [entry["client"]["client_id"] for entry in client.call("GET", "clients")["clients"]] == [HOST]


def test_a_folder_is_backed_up(client, scheduler, folders):
    made = client.call("POST", "jobs", {"client_id": HOST, "description": "back up", "job_actions": [{
        "freezer_action": {"action": "backup", "mode": "fs", "backup_name": "tree", "storage": "local",
                           "path_to_backup": str(folders / "source"), "container": str(folders / "storage"),
                           "log_file": str(folders / "agent.log")},
        "max_retries": 0}]})
    job, seen = finished(client, made["job_id"], scheduler)
    assert job["job_schedule"]["result"] == "success", scheduler.log()[-4000:]
    assert ("running", "") in seen
    assert job["job_schedule"]["current_pid"] > 0
    assert job["job_schedule"]["time_ended"] >= job["job_schedule"]["time_started"] > 0

    [backup] = client.call("GET", "backups")["backups"]
    assert backup["status"] == "available"
    metadata = backup["backup_metadata"]
    assert (metadata["backup_name"], metadata["job_id"]) == ("tree", made["job_id"])
    assert metadata["container"] == str(folders / "storage")


def test_the_folder_comes_back(client, scheduler, folders):
    made = client.call("POST", "jobs", {"client_id": HOST, "description": "restore", "job_actions": [{
        "freezer_action": {"action": "restore", "mode": "fs", "backup_name": "tree", "storage": "local",
                           "restore_abs_path": str(folders / "restored"), "container": str(folders / "storage"),
                           "log_file": str(folders / "agent.log")},
        "max_retries": 0}]})
    job, _ = finished(client, made["job_id"], scheduler)
    assert job["job_schedule"]["result"] == "success", scheduler.log()[-4000:]
    wanted = contents(folders / "source")
    assert len(wanted) == 7
    assert contents(folders / "restored") == wanted
