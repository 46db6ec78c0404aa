"""Restores as the catalogue tells them, run by freezer-agent 19.0.0: the named backup comes back, not the one before it."""

import subprocess

import pytest

from services import HOST, account, host_environment

VERSIONS = ("first", "second", "third")


@pytest.fixture(scope="module")
def engine():
    """One is enough: tests/it has the statements on each."""
    return "mariadb"


def run_job(client, scheduler, job):
    """Runs a job to its end, which must be a success; its id."""
    job_id = client.call("POST", "jobs", job)["job_id"]

    def ended():
        runs = client.call("GET", f"report/runs?job_id={job_id}")["runs"]
        return runs[0]["state"] if runs and runs[0]["state"] != "running" else None

    assert scheduler.wait("the end", ended) == "success", scheduler.log()[-6000:]
    return job_id


def back_up(client, scheduler, source, text, action):
    """Backs up a folder with this text in it; the record."""
    source.mkdir(exist_ok=True)
    (source / "it's a text").write_text(text)
    (source / text).write_text(text)
    freezer_action = {"action": "backup", "mode": "fs", "storage": "local", "path_to_backup": str(source), "incremental": True,
                      "container": str(scheduler.folder / "the storage"), "log_file": str(scheduler.folder / "agent.log"), **action}
    job_id = run_job(client, scheduler, {"client_id": HOST, "description": text,
                                         "job_actions": [{"freezer_action": freezer_action, "max_retries": 0}]})
    search = {"match": [{"job_id": job_id}]}
    [record] = client.call("GET", "backups", search)["backups"]
    return record


def shell(scheduler, keystone, command):
    """Runs a command in a shell of the host, with the variables of an account: the agent asks for them whatever the storage."""
    environment = host_environment(scheduler.folder, TZ="America/New_York", **account(keystone))
    done = subprocess.run(["sh", "-c", command], env=environment, cwd=scheduler.folder, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"{command}\n{done.stdout}"


def restored(folder):
    """The text that a folder has, and how many files."""
    return (folder / "it's a text").read_text(), len(list(folder.iterdir()))


@pytest.mark.parametrize("action", [
    {"engine_name": "tar", "backup_name": "with tar"},
    {"engine_name": "tar"},
], ids=["named", "unnamed"])
def test_the_named_one_of_three_comes_back(client, keystone, scheduler, tmp_path, action):
    records = [back_up(client, scheduler, tmp_path / "source", text, action) for text in VERSIONS]
    for number, (record, text) in enumerate(zip(records, VERSIONS), start=1):
        folder = tmp_path / text
        restore = client.call("GET", f"report/backups/{record['backup_id']}/restore?path={folder}")
        assert restore["basis"] == "run_end" and restore["missing"] == []
        shell(scheduler, keystone, restore["command"])
        assert restored(folder) == (text, number + 1)


def test_by_time_stamp_the_one_before_comes_back(client, keystone, scheduler, tmp_path):
    action = {"engine_name": "tar", "backup_name": "by time_stamp"}
    source = tmp_path / "source"
    for text in VERSIONS[:2]:
        back_up(client, scheduler, source, text, action)
    # The agent reads what it checks before it stamps what it stores: seconds, for some gigabytes.
    with open(source / "large", "wb") as large:
        large.truncate(4_000_000_000)
    checked = {**action, "consistency_check": True, "exclude": "large"}
    record = back_up(client, scheduler, source, "third", checked)
    [stamped] = (scheduler.folder / "the storage" / "data" / "tar").glob("*_by time_stamp/*/2_*")
    time_stamp = record["backup_metadata"]["time_stamp"]
    assert int(stamped.name.removeprefix("2_")) > time_stamp

    path = f"report/backups/{record['backup_id']}/restore?path={tmp_path}"
    restore = client.call("GET", f"{path}/ours")
    shell(scheduler, keystone, restore["command"])
    assert restored(tmp_path / "ours") == ("third", 4)
    command = client.call("GET", f"{path}/theirs")["command"]
    before, until = command.rsplit(" ", 1)
    assert until == restore["until"].removesuffix("Z")
    shell(scheduler, keystone, f"{before} $(date -u -d @{time_stamp} +%FT%T)")
    assert restored(tmp_path / "theirs") == ("second", 3)


def test_the_job_does_the_same(client, scheduler, tmp_path):
    action = {"engine_name": "tar", "backup_name": "by a job"}
    records = [back_up(client, scheduler, tmp_path / "source", text, action) for text in VERSIONS]
    folder = tmp_path / "back"
    restore = client.call("GET", f"report/backups/{records[1]['backup_id']}/restore?path={folder}")
    run_job(client, scheduler, restore["job"])
    assert restored(folder) == ("second", 3)
