"""Swapping the programs on one database: what either wrote, the other serves, both ways and while both run."""

import os

import pytest

import services
from services import Ours, Reference, Rest

pytestmark = pytest.mark.skipif(os.environ.get("FREEZER_TEST_SUBJECT") == "reference", reason="it compares ours with the reference")

COLLECTIONS = ("clients", "actions", "jobs", "sessions", "backups")


def write(rest):
    """Makes one of everything and returns the paths of the documents."""
    rest.call("POST", "clients", {"client_id": "node1", "hostname": "node1.example.org", "description": "é 漢",
                                  "supported_actions": ["backup", "restore"], "supported_modes": ["fs", "mysql"]})
    action = rest.call("POST", "actions", {"max_retries": 2, "freezer_action": {
        "action": "backup", "mode": "fs", "backup_name": "etc", "path_to_backup": "/etc", "container": "store", "storage": "local",
        "engine_name": "tar", "excluded": "😀 \" \\ \n end", "timeout": 60}})["action_id"]
    job = rest.call("POST", "jobs", {"client_id": "node1", "description": "nightly", "job_actions": [
        {"action_id": action, "freezer_action": {
            "action": "backup", "mode": "fs", "backup_name": "etc", "path_to_backup": "/etc", "container": "store", "storage": "local",
            "engine_name": "tar", "excluded": "😀 \" \\ \n end", "timeout": 60}},
        {"freezer_action": {"action": "restore", "mode": "mysql", "backup_name": "db", "container": "store", "storage": "local"}},
    ], "job_schedule": {"schedule_interval": "1 days"}})["job_id"]
    rest.call("PATCH", f"jobs/{job}", {"job_schedule": {"schedule_interval": "1 days", "status": "running", "current_pid": 4711}})
    session = rest.call("POST", "sessions", {"description": "all", "schedule": {"schedule_interval": "2 days"}})["session_id"]
    rest.call("PUT", f"sessions/{session}/jobs/{job}")
    assert rest.call("POST", f"sessions/{session}/action", {"start": {"job_id": job, "current_tag": 0}})["result"] == "success"
    backup = rest.call("POST", "backups", {"backup_name": "etc", "container": "store", "hostname": "node1", "time_stamp": 1700000000,
                                           "path_to_backup": "/etc 😀", "curr_backup_level": 0, "job_id": job,
                                           "ratio": 0.1, "big": 12345678901234567890, "nothing": None, "nested": {"list": [1, True, "x"]}})
    return ["clients/node1", f"actions/{action}", f"jobs/{job}", f"sessions/{session}", f"backups/{backup['backup_id']}"]


def change(rest, paths):
    """Goes on with the documents of the other program."""
    _, action, job, session, backup = paths
    job_id = job.split("/")[1]
    rest.call("POST", f"{session}/action", {"end": {"job_id": job_id, "result": "success"}})
    rest.call("POST", f"{job}/event", {"abort": None})
    rest.call("POST", action, {"freezer_action": {"action": "backup", "mode": "fs", "backup_name": "etc2", "container": "store"},
                               "max_retries": 1, "max_retries_interval": 9})
    rest.call("PATCH", backup, {"status": "deleting", "backup_metadata": {"ratio": 0.25}})
    rest.call("PATCH", session, {"description": "changed"})


def read(rest, paths):
    """The documents, singly and in lists."""
    documents = {path: rest.call("GET", path) for path in paths}
    for collection in COLLECTIONS:
        documents[collection] = rest.call("GET", f"{collection}?limit=100")
    return documents


def exchange(writer, other, paths):
    """What one program wrote, the other serves, changes and deletes; the one sees all of it at once."""
    written = read(writer, paths)
    assert len(written["jobs"]["jobs"][0]["job_actions"]) == 2
    assert read(other, paths) == written
    change(other, paths)
    changed = read(other, paths)
    assert changed != written
    assert read(writer, paths) == changed
    for path in paths:
        other.call("DELETE", path)
    # The job's second action was made with it and stays.
    (made,) = writer.call("GET", "actions")["actions"]
    other.call("DELETE", f"actions/{made['action_id']}")
    for collection in COLLECTIONS:
        assert writer.call("GET", collection) == {collection: []}


@pytest.mark.parametrize("first, second", [(Ours, Reference), (Reference, Ours)], ids=["ours_first", "reference_first"])
def test_either_program_serves_what_the_other_wrote(first, second, keystone, tmp_path):
    url = services.fresh_database(os.environ["FREEZER_TEST_MYSQL_URL"], f"clients_interop_{first.label}")
    old, new = first(tmp_path, url, keystone), second(tmp_path, url, keystone)
    old.db_sync()
    with old.start():
        paths = write(Rest(old.url, keystone))
        # The second program upgrades a database in use, and both serve it from then on.
        new.db_sync()
        with new.start():
            old, new = Rest(old.url, keystone), Rest(new.url, keystone)
            exchange(old, new, paths)
            exchange(new, old, write(new))
            exchange(old, new, write(old))
