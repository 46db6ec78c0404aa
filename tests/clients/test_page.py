"""A morning with the web page, and real schedulers and agents behind it: something failed, a job is to run, a file is wanted back."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

import services
from services import Rest
from test_restores import HOST, shell
from test_runs import Scheduler, wait

STORY = pathlib.Path(__file__).parent.parent / "ui" / "story.mjs"

pytestmark = pytest.mark.skipif(not os.environ.get("FREEZER_TEST_PLAYWRIGHT") or not shutil.which("node"),
                                reason="needs a browser: ./test installs it")


@pytest.fixture(scope="module")
def api(keystone, tmp_path_factory):
    """One on MariaDB that lets users log in without TLS."""
    folder = tmp_path_factory.mktemp("page")
    server = services.Ours(folder, services.fresh_database(os.environ["FREEZER_TEST_MYSQL_URL"], "clients_page"), keystone)
    with open(server.configuration, "a") as configuration:
        configuration.write("[ui]\nallow_http = true\n")
    server.db_sync()
    with server.start():
        services.publish(keystone, server.url)
        yield server.url


@pytest.fixture(scope="module")
def client(api, keystone):
    return Rest(api, keystone)


@pytest.fixture(scope="module")
def scheduler(client, keystone, tmp_path_factory):
    scheduler = Scheduler(tmp_path_factory.mktemp("morning"), keystone)
    scheduler.start()
    wait("the host", lambda: client.call("GET", "clients")["clients"], scheduler)
    yield scheduler
    scheduler.kill()


def job(client, scheduler, name, source, status):
    """A job that backs a folder up; its id."""
    action = {"action": "backup", "mode": "fs", "engine_name": "tar", "storage": "local", "backup_name": name, "path_to_backup": str(source),
              "container": str(scheduler.folder / "storage"), "log_file": str(scheduler.folder / "agent.log")}
    document = {"client_id": HOST, "description": name, "job_schedule": {"status": status},
                "job_actions": [{"freezer_action": action, "max_retries": 0}]}
    return client.call("POST", "jobs", document)["job_id"]


def test_a_morning(api, client, keystone, scheduler, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "wanted").write_text("the text")
    job(client, scheduler, "absent", tmp_path / "absent", "scheduled")
    job(client, scheduler, "tree", source, "scheduled")
    job(client, scheduler, "by hand", source, "stop")

    def states():
        return sorted(run["state"] for run in client.call("GET", "report/runs")["runs"])

    wait("the ends of both runs", lambda: states() == ["fail", "success"], scheduler)
    (source / "wanted").unlink()

    told = subprocess.run(["node", STORY, api, tmp_path], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert told.returncode == 0, f"{told.stderr}\n{scheduler.log()}"
    commands = json.loads(told.stdout)
    assert commands["journal"].startswith("journalctl -u freezer-scheduler --since '")
    shell(scheduler, keystone, commands["command"])
    for folder in ("by-command", "by-job"):
        assert (tmp_path / folder / "wanted").read_text() == "the text", folder
    assert states() == ["fail", "success", "success", "success"]
