"""Every subcommand of python-freezerclient 6.5.0, typed into a shell: as `freezer …` and as `openstack backup …`.

The tests of a class build on each other, in the order of the file.
"""

import json
import os
import re

import pytest

from services import PYTHON_PROGRAMS, run

USED = {"freezer": set(), "openstack": set()}


class Shell:
    """One of the two commands, as the account demo of project demo."""

    def __init__(self, program, keystone, folder):
        self.program = program
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        self.environment.update(OS_AUTH_URL=keystone, OS_USERNAME="demo", OS_PASSWORD="demo", OS_PROJECT_NAME="demo",
                                OS_USER_DOMAIN_NAME="Default", OS_PROJECT_DOMAIN_NAME="Default", OS_REGION_NAME="RegionOne",
                                OS_IDENTITY_API_VERSION="3", HOME=str(folder), PYTHONWARNINGS="ignore")

    def __call__(self, subcommand, *arguments):
        """Runs `job-show` as `freezer job-show` or `openstack backup job show`, and returns what it printed."""
        USED[self.program].add(subcommand)
        words = [subcommand] if self.program == "freezer" else ["backup", *subcommand.removeprefix("backup-").split("-")]
        return run(PYTHON_PROGRAMS / self.program, *words, *arguments, env=self.environment)

    def show(self, subcommand, *arguments):
        """Runs it and returns what it printed as JSON."""
        return json.loads(self(subcommand, "-f", "json", *arguments))

    def document(self, document):
        """A file with a document, as the commands want it."""
        path = self.folder / "document.json"
        path.write_text(json.dumps(document))
        return path


@pytest.fixture(scope="module")
def engine():
    return "mariadb"


@pytest.fixture(scope="class", params=["freezer", "openstack"])
def shell(request, api, keystone, tmp_path_factory):
    return Shell(request.param, keystone, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="class")
def known():
    """The ids that earlier tests of the class made."""
    return {}


class TestEverySubcommand:
    def test_client_register(self, shell, known):
        known["client"] = f"host-{shell.program}"
        made = shell.show("client-register", "--file", shell.document(
            {"client_id": known["client"], "hostname": "node1.example.org", "description": "the first — é, 漢"}))
        assert made["Client ID"] == known["client"]
        assert made["hostname"] == "node1.example.org"
        assert made["description"] == "the first — é, 漢"
        known["uuid"] = made["Client UUID"]
        assert re.fullmatch("[0-9a-f]{32}", known["uuid"])

    def test_client_show(self, shell, known):
        assert shell.show("client-show", known["client"])["Client ID"] == known["client"]
        with pytest.raises(AssertionError, match="Client not found"):
            shell("client-show", "nobody")

    def test_client_list(self, shell, known):
        assert known["client"] in [row["Client ID"] for row in shell.show("client-list", "--limit", 50, "--offset", 0)]
        search = json.dumps([{"client_id": known["client"]}])
        assert [row["Client ID"] for row in shell.show("client-list", "--search", search)] == [known["client"]]
        for word, found in [(f"HOST-{shell.program}", known["client"]), (known["uuid"], known["client"]), ("no such word", "")]:
            assert [row["Client ID"] for row in shell.show("client-list", "--search", word)] == [found]
        search = json.dumps([{"client_id": "nobody"}])
        assert [row["Client ID"] for row in shell.show("client-list", "--search", search)] == [""]

    def test_action_create(self, shell, known):
        made = shell.show("action-create", "--file", shell.document({
            "freezer_action": {"action": "backup", "mode": "fs", "backup_name": f"etc-{shell.program}", "container": "/var/backups",
                               "path_to_backup": "/etc", "storage": "local"},
            "max_retries": 2, "max_retries_interval": 60}))
        known["action"] = made["Action ID"]
        assert (made["Name"], made["Action"], made["Mode"]) == (f"etc-{shell.program}", "backup", "fs")
        assert (made["Storage"], made["Path to Backup or Restore"]) == ("local", "/etc")
        assert (made["Max_retries"], made["Max_retries_interval"]) == (2, 60)

    def test_action_show(self, shell, known):
        assert shell.show("action-show", known["action"])["Container"] == "/var/backups"

    def test_action_list(self, shell, known):
        search = json.dumps([{"backup_name": f"etc-{shell.program}"}])
        rows = shell.show("action-list", "--search", search)
        assert [(row["Action ID"], row["Storage"]) for row in rows] == [(known["action"], "local")]

    @staticmethod
    def action(shell):
        return {"action": "backup", "mode": "fs", "backup_name": f"etc-{shell.program}", "container": "/elsewhere",
                "path_to_backup": "/etc", "storage": "local"}

    def test_action_update(self, shell, known):
        document = {"freezer_action": self.action(shell), "max_retries": 3, "max_retries_interval": 60}
        changed = shell.show("action-update", known["action"], shell.document(document))
        assert (changed["Action ID"], changed["Container"], changed["Max_retries"]) == (known["action"], "/elsewhere", 3)

    def test_job_create(self, shell, known):
        made = shell.show("job-create", "--client", known["client"], "--file", shell.document({
            "description": "nightly", "job_schedule": {"schedule_interval": "1 days", "schedule_start_date": "2030-01-01T02:00:00"},
            "job_actions": [{"action_id": known["action"], "freezer_action": self.action(shell)},
                            {"freezer_action": {"action": "admin", "mode": "fs", "backup_name": "old", "container": "/elsewhere",
                                                "remove_older_than": 30}}]}))
        known["job"] = made["Job ID"]
        assert made["Client ID"] == known["client"]
        assert (made["Description"], made["Interval"]) == ("nightly", "1 days")
        assert "'/elsewhere'" in made["Actions"]

    def test_job_show(self, shell, known):
        shown = shell.show("job-show", known["job"])
        assert (shown["Job ID"], shown["Start Date"]) == (known["job"], "2030-01-01T02:00:00")
        with pytest.raises(AssertionError, match="Job not found"):
            shell("job-show", "none")

    def test_job_get(self, shell, known):
        printed = shell("job-get", known["job"])
        assert f"'job_id': '{known['job']}'" in printed
        assert f"'job_id': '{known['job']}'" in shell("job-get", "--no-format", known["job"])

    def test_job_list(self, shell, known):
        rows = shell.show("job-list", "--client", known["client"])
        assert [(row["Job ID"], row["# Actions"]) for row in rows] == [(known["job"], 2)]
        assert known["job"] in [row["Job ID"] for row in shell.show("job-list", "--limit", 50)]
        search = json.dumps([{"description": "weekly"}])
        assert [row["Job ID"] for row in shell.show("job-list", "--search", search)] == [""]

    def test_job_update(self, shell, known):
        changed = shell.show("job-update", known["job"], shell.document(
            {"description": "hourly", "job_schedule": {"schedule_interval": "1 hours"}}))
        assert (changed["Description"], changed["Interval"]) == ("hourly", "1 hours")

    @pytest.mark.parametrize("event", ["start", "stop", "abort"])
    def test_job_events(self, shell, known, event):
        assert shell(f"job-{event}", known["job"]) == ""
        assert shell.show("job-show", known["job"])["Event"] == event

    def test_session_create(self, shell, known):
        made = shell.show("session-create", "--file", shell.document(
            {"description": f"all hosts {shell.program}", "hold_off": 60, "schedule": {"schedule_interval": "2 days"}}))
        known["session"] = made["Session ID"]
        assert (made["Description"], made["Hold off"], made["Session tag"]) == (f"all hosts {shell.program}", 60, 0)
        assert made["Status"] == "active"

    def test_session_add_job(self, shell, known):
        assert shell("session-add-job", "--session-id", known["session"], "--job-id", known["job"]) == ""
        assert shell.show("job-show", known["job"])["Session ID"] == known["session"]
        assert shell.show("job-show", known["job"])["Interval"] == "2 days"

    def test_session_show(self, shell, known):
        shown = shell.show("session-show", known["session"])
        assert f"'{known['job']}'" in shown["Jobs"]
        assert "'2 days'" in shown["Schedule"]
        with pytest.raises(AssertionError, match="Session not found"):
            shell("session-show", "none")

    def test_session_list(self, shell, known):
        search = json.dumps([{"description": f"all hosts {shell.program}"}])
        rows = shell.show("session-list", "--search", search)
        assert [(row["Session ID"], row["# Jobs"]) for row in rows] == [(known["session"], 1)]

    def test_session_start(self, shell, known):
        assert shell("session-start", "--session-id", known["session"], "--job-id", known["job"], "--job-tag", 0) == ""
        shown = shell.show("session-show", known["session"])
        assert (shown["Session tag"], shown["Status"]) == (1, "running")

    def test_session_update(self, shell, known):
        changed = shell.show("session-update", known["session"], shell.document({"description": "some hosts"}))
        assert (changed["Description"], changed["Session tag"]) == ("some hosts", 1)

    def test_session_remove_job(self, shell, known):
        assert shell("session-remove-job", "--session-id", known["session"], "--job-id", known["job"]) == ""
        assert shell.show("session-show", known["session"])["Jobs"] == "{}"
        shown = shell.show("job-show", known["job"])
        assert (shown["Session ID"], shown["Event"]) == ("", "stop")

    def test_backup_create(self, shell, known):
        made = shell.show("backup-create", "--file", shell.document(
            {"backup_name": f"etc-{shell.program}", "container": "/var/backups", "hostname": "node1", "path_to_backup": "/etc",
             "time_stamp": 1700000000, "curr_backup_level": 0, "mode": "fs", "job_id": known["job"]}))
        assert made["Status"] == "available"
        assert f"'etc-{shell.program}'" in made["Metadata"]

    def test_backup_list(self, shell, known):
        search = json.dumps([{"backup_name": f"etc-{shell.program}"}])
        # Its column `Created at` cannot be shown as JSON.
        columns = [word for name in ("Backup ID", "Hostname", "Path", "Status", "Level") for word in ("-c", name)]
        [row] = shell.show("backup-list", "--search", search, *columns)
        assert "2023-11-1" in shell("backup-list")
        known["backup"] = row["Backup ID"]
        assert (row["Hostname"], row["Path"], row["Level"], row["Status"]) == ("node1", "/etc", 0, "available")

    def test_backup_show(self, shell, known):
        shown = shell.show("backup-show", known["backup"])
        assert "'curr_backup_level': 0" in shown["Metadata"]
        with pytest.raises(AssertionError, match="Backup not found"):
            shell("backup-show", "none")

    def test_backup_delete(self, shell, known):
        assert shell("backup-delete", known["backup"]) == ""
        with pytest.raises(AssertionError, match="Backup not found"):
            shell("backup-show", known["backup"])

    def test_session_delete(self, shell, known):
        assert shell("session-delete", known["session"]) == ""
        with pytest.raises(AssertionError, match="Session not found"):
            shell("session-show", known["session"])

    def test_job_delete(self, shell, known):
        assert shell("job-delete", known["job"]) == ""
        with pytest.raises(AssertionError, match="Job not found"):
            shell("job-show", known["job"])

    def test_action_delete(self, shell, known):
        assert shell("action-delete", known["action"]) == ""
        with pytest.raises(AssertionError, match="Action not found"):
            shell("action-show", known["action"])

    def test_client_delete(self, shell, known):
        assert shell("client-delete", known["client"]) == ""
        with pytest.raises(AssertionError, match="Client not found"):
            shell("client-show", known["client"])

    def test_no_subcommand_was_left_out(self, shell):
        listed = run(PYTHON_PROGRAMS / "freezer", "--help", env=shell.environment).split("Commands:")[1]
        offered = set(re.findall(r"^  ([a-z-]+)  ", listed, re.M)) - {"complete", "help"}
        assert USED[shell.program] == offered
