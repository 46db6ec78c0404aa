"""A morning with the web page below a prefix of nginx, and a real scheduler and agents behind it: something failed, a job is to run,
another to end, a file is wanted back."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import subprocess
from unittest import mock

import pytest

import proxies
import services
from services import HOST
from test_restores import shell
from test_runs import ftp, port, silence  # noqa: F401

STORY = pathlib.Path(__file__).parent.parent / "ui" / "story.mjs"

pytestmark = pytest.mark.skipif(not os.environ.get("FREEZER_TEST_PLAYWRIGHT") or not shutil.which("node") or not shutil.which("nginx"),
                                reason="needs a browser and nginx: ./test installs them")


@pytest.fixture(scope="module")
def api(keystone, tmp_path_factory):
    """One on MariaDB behind nginx, which ends TLS."""
    folder = tmp_path_factory.mktemp("page")
    with mock.patch.dict(os.environ, FREEZER_TEST_PROXY="nginx"):
        server = proxies.Behind(folder, services.fresh_database(os.environ["FREEZER_TEST_MYSQL_URL"], "clients_page"), keystone)
        server.db_sync()
        with server.start():
            services.publish(keystone, server.url)
            yield server.url


@pytest.fixture(scope="module")
def engine():
    """That of the API."""
    return "mariadb"


def job(client, scheduler, name, source, status, **options):
    """A job that backs a folder up; its id."""
    action = {"action": "backup", "mode": "fs", "engine_name": "tar", "storage": "local", "backup_name": name, "path_to_backup": str(source),
              "container": str(scheduler.folder / "storage"), "log_file": str(scheduler.folder / "agent.log"), **options}
    document = {"client_id": HOST, "description": name, "job_schedule": {"status": status},
                "job_actions": [{"freezer_action": action, "max_retries": 0}]}
    return client.call("POST", "jobs", document)["job_id"]


def end_agent(client, scheduler, job_id):
    """Ends the agent of a job once its scheduler was asked to: that of 19.0.0 does not find the process by its name."""
    scheduler.wait("the wish to abort", lambda: f"JOB {job_id} event: ABORT" in scheduler.log())
    os.kill(client.call("GET", f"jobs/{job_id}")["job_schedule"]["current_pid"], signal.SIGTERM)


def test_a_morning(api, client, keystone, scheduler, silence, tmp_path):  # noqa: F811
    source = tmp_path / "source"
    source.mkdir()
    (source / "wanted").write_text("the text")

    def states():
        return sorted(run["state"] for run in client.call("GET", "report/runs")["runs"])

    # One after the other: of two agents that make the same folders at once, one fails.
    job(client, scheduler, "tree", source, "scheduled")
    scheduler.wait("the end of the first run", lambda: states() == ["success"])
    job(client, scheduler, "absent", tmp_path / "absent", "scheduled")
    scheduler.wait("the end of the second run", lambda: states() == ["fail", "success"])
    job(client, scheduler, "by hand", source, "stop")
    endless = job(client, scheduler, "endless", source, "stop", **ftp(port(silence)))
    (source / "wanted").unlink()

    with concurrent.futures.ThreadPoolExecutor() as beside:
        ended = beside.submit(end_agent, client, scheduler, endless)
        told = subprocess.run(["node", STORY, api, tmp_path], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert told.returncode == 0, f"{told.stderr}\n{scheduler.log()[-6000:]}"
    ended.result()
    commands = json.loads(told.stdout)
    assert commands["journal"].startswith("journalctl -u freezer-scheduler --since '")
    shell(scheduler, keystone, commands["command"])
    for folder in ("by-command", "by-job"):
        assert (tmp_path / folder / "wanted").read_text() == "the text", folder
    assert states() == ["aborted", "fail", "success", "success", "success"]
