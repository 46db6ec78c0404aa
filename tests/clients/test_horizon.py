"""Horizon 27.0.0 with freezer-web-ui 19.0.0 as a client: what its pages show, and what its buttons and forms do, directly and through
each proxy of `deploy/`.

The tests of the class build on each other, in the order of the file. What is wrong in the plugin itself stands where it shows.
"""

import contextlib
import os
import re
import shutil
from unittest import mock

import pytest

import conftest
import horizon
import proxies
import services
from horizon import text

# The reference finds everything, whatever is searched for (deviation D47).
SEARCHES = conftest.SUBJECT is not services.Reference
USER = "operator"
HOSTS = ("one.example.org", "two.example.org")
ACTION = {"action": "backup", "mode": "fs", "backup_name": "etc", "storage": "local", "path_to_backup": "/etc", "container": "/var/backups"}


@pytest.fixture(scope="module")
def engine():
    """One is enough: tests/it has the statements on each."""
    return "mariadb"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The certificates that Horizon trusts: each proxy adds its own."""
    return tmp_path_factory.mktemp("trust") / "bundle.pem"


@pytest.fixture(scope="module")
def dashboard(keystone, bundle, tmp_path_factory):
    """Horizon."""
    # keystoneauth wants the file to be there.
    bundle.touch()
    server = horizon.Horizon(tmp_path_factory.mktemp("horizon"), keystone, bundle)
    with server.start():
        yield server


@pytest.fixture(scope="module")
def api(request, engine, keystone, bundle, tmp_path_factory):
    """The URL of the API: of the server itself, and of a proxy in front of one."""
    with contextlib.ExitStack() as stack:
        make = conftest.SUBJECT
        if request.param != "directly":
            if conftest.SUBJECT is not services.Ours:
                pytest.skip("run directly")
            if not shutil.which({"apache": "apache2"}.get(request.param, request.param)):
                pytest.skip(f"{request.param} is not installed")
            stack.enter_context(mock.patch.dict(os.environ, FREEZER_TEST_PROXY=request.param))
            make = proxies.Behind
        folder = tmp_path_factory.mktemp("api")
        server = make(folder, conftest.database_url(engine, "clients_horizon", folder), keystone)
        if make is proxies.Behind:
            bundle.write_bytes((folder / "cert.pem").read_bytes())
        server.db_sync()
        stack.enter_context(server.start())
        services.publish(keystone, server.url)
        yield server.url


@pytest.fixture(scope="module")
def known(client):
    """What the pages have to show; the tests add what they make."""
    ids = {}
    for host in HOSTS:
        client.call("POST", "clients", {"client_id": host, "hostname": host, "description": f"of {host}"})
        backup = {"action": "backup", "backup_name": f"tree-of-{host}", "client_id": host, "container": "/b", "curr_backup_level": 0,
                  "hostname": host, "mode": "fs", "path_to_backup": "/srv", "storage": "local", "time_stamp": 1790000000}
        ids[f"backup of {host}"] = client.call("POST", "backups", backup)["backup_id"]
    return ids


@pytest.fixture(scope="module")
def visitor(dashboard, keystone, known):
    """Somebody of project demo, whose default project it is: the plugin asks Keystone for tokens without naming one."""
    identity = services.connect(keystone).identity
    project = identity.find_project("demo")
    user = identity.find_user(USER) or identity.create_user(name=USER, password=USER, domain_id="default", default_project_id=project.id)
    identity.assign_project_role_to_user(project, user, identity.find_role("member"))
    return horizon.Visitor(dashboard, USER)


def schedule(client, job_id):
    """The schedule of a job."""
    return client.call("GET", f"jobs/{job_id}")["job_schedule"]


def names(client, job_id):
    """The names of a job's actions, in their order."""
    return [action["freezer_action"]["backup_name"] for action in client.call("GET", f"jobs/{job_id}")["job_actions"]]


def uuid_of(client, host):
    """The id by which the wizard knows a host."""
    return client.call("GET", f"clients/{host}")["client"]["uuid"]


@pytest.mark.parametrize("api", ["directly"], indirect=True, scope="module")
class TestHorizon:
    def test_clients(self, visitor):
        assert sorted(row[1] for row in visitor.open("freezer-clients/").rows()) == sorted(HOSTS)
        if SEARCHES:
            assert [row[1] for row in visitor.search("two.example").rows()] == [HOSTS[1]]
            assert visitor.search("nobody").rows() == []
        assert len(visitor.search("").rows()) == 2
        details = visitor.open(f"freezer-clients/{HOSTS[0]}").details()
        assert (details["Client ID"], details["Description"]) == (HOSTS[0], f"of {HOSTS[0]}")
        assert re.fullmatch("[0-9a-f]{32}", details["UUID"])

    def test_an_action_is_made(self, visitor, client, known):
        for name in ("etc", "home"):
            visitor.fill("freezer-actions/create/", {**ACTION, "backup_name": name, "path_to_backup": f"/{name}", "max_retries": 2})
            assert visitor.alerts("success")
            [action] = client.call("GET", "actions", {"match": [{"backup_name": name}]})["actions"]
            known[name] = action["action_id"]
            assert action["max_retries"] == 2
            assert ACTION.items() - {("path_to_backup", "/etc"), ("backup_name", "etc")} <= action["freezer_action"].items()
            assert action["freezer_action"]["path_to_backup"] == f"/{name}"

    def test_actions(self, visitor, known):
        assert sorted(row[1] for row in visitor.open("freezer-actions/").rows()) == ["etc", "home"]
        if SEARCHES:
            assert [row[1:6] for row in visitor.search("/home").rows()] == [["home", "backup", "/home", "local", "fs"]]
        assert len(visitor.search("").rows()) == 2
        details = visitor.open(f"freezer-actions/action/{known['home']}").details()
        assert (details["Backup Name"], details["Max Retries"]) == ("home", "2")

    def test_an_action_is_edited(self, visitor, client, known):
        visitor.fill(f"freezer-actions/create/{known['home']}", {"path_to_backup": "/home/all", "max_retries": 3})
        action = client.call("GET", f"actions/{known['home']}")
        assert (action["freezer_action"]["path_to_backup"], action["max_retries"]) == ("/home/all", 3)
        assert action["freezer_action"]["container"] == "/var/backups"

    def test_a_job_is_made(self, visitor, client, known):
        """For the host that was chosen: the reference ignores the search for it, and gives the job to the first one."""
        visitor.fill("freezer-jobs/create/", {
            "description": "nightly", "interval_uint": "days", "interval_value": 1, "schedule_start_date": "2030-01-01T02:00",
            "selected_clients_role_member": [uuid_of(client, HOSTS[1])], "actions": f"{known['home']}==={known['etc']}==="})
        [job] = client.call("GET", "jobs")["jobs"]
        known["job"] = job["job_id"]
        if SEARCHES:
            assert job["client_id"] == HOSTS[1]
        assert names(client, job["job_id"]) == ["home", "etc"]
        wanted = {"schedule_interval": "1 days", "schedule_start_date": "2030-01-01T02:00:00", "event": "stop"}
        assert wanted.items() <= job["job_schedule"].items()

    def test_jobs(self, visitor, known):
        [row] = visitor.open("freezer-jobs/").rows()
        assert row[1] == "nightly"
        details = visitor.open(f"freezer-jobs/{known['job']}").details()
        assert (details["Schedule Interval"], details["Event Status"]) == ("1 days", "Stop")
        assert details["Backup Name"] in ("home", "etc")

    def test_a_job_is_started_and_stopped(self, visitor, client, known):
        """The list goes by the status, which no scheduler has reported yet, and offers no stop: the page of the job goes by the event."""
        visitor.open("freezer-jobs/").press("start_job", known["job"])
        assert visitor.alerts("success") == ["Success: Job has started"]
        assert schedule(client, known["job"])["event"] == "start"
        assert visitor.rows()[0][3] == "stop"
        visitor.open(f"freezer-jobs/{known['job']}").press("stop_job", known["job"])
        assert visitor.alerts("success") == ["Success: Job has stopped"]
        assert schedule(client, known["job"])["event"] == "stop"

    def test_a_job_is_edited(self, visitor, client, known):
        """The form sends a schedule without status and event, and a PATCH replaces the whole of it."""
        visitor.fill(f"freezer-jobs/edit/{known['job']}", {"description": "weekly", "schedule_interval": "1 weeks"})
        job = client.call("GET", f"jobs/{known['job']}")
        assert job["description"] == "weekly"
        assert job["job_schedule"] == {"schedule_interval": "1 weeks", "schedule_start_date": "2030-01-01T02:00:00"}
        assert names(client, known["job"]) == ["home", "etc"]

    def test_the_actions_of_a_job_are_edited(self, visitor, client, known):
        visitor.fill(f"freezer-jobs/edit_actions/{known['job']}", {"actions": f"{known['etc']}==="})
        assert names(client, known["job"]) == ["etc"]

    def test_a_job_is_cloned(self, visitor, client, known):
        visitor.open("freezer-jobs/").press("clone", known["job"])
        [job] = [job for job in client.call("GET", "jobs")["jobs"] if job["job_id"] != known["job"]]
        known["clone"] = job["job_id"]
        assert (job["description"], job["job_schedule"]["event"]) == ("weekly_clone", "stop")
        assert names(client, job["job_id"]) == ["etc"]

    def jobs(self, client, known):
        return set(client.call("GET", f"sessions/{known['session']}")["jobs"])

    def test_a_session_is_made(self, visitor, client, known):
        visitor.fill("freezer-sessions/create/", {"description": "together", "interval_unit": "hours", "interval_value": 2,
                                                  "selected_jobs_role_member": [known["job"]]})
        [session] = client.call("GET", "sessions")["sessions"]
        known["session"] = session["session_id"]
        assert (session["description"], session["schedule"]["schedule_interval"]) == ("together", "2 hours")
        assert self.jobs(client, known) == {known["job"]}
        assert client.call("GET", f"jobs/{known['job']}")["session_id"] == known["session"]

    def test_sessions(self, visitor, known):
        assert [row[1] for row in visitor.open("freezer-sessions/").rows()] == ["together"]
        page = visitor.open(f"freezer-sessions/{known['session']}")
        assert (page.details()["Description"], page.details()["Interval"]) == ("together", "2 hours")
        assert [row[1] for row in page.rows()] == [known["job"]]

    def test_jobs_join_a_session_and_leave_it(self, visitor, client, known):
        both = {known["job"], known["clone"]}
        session = f"freezer-sessions/{known['session']}"
        visitor.fill(f"freezer-sessions/attach_to_session/{known['clone']}", {"session_id": known["session"]})
        assert self.jobs(client, known) == both
        visitor.open(session).press("delete_job_from_session", f"{known['clone']}==={known['session']}")
        assert self.jobs(client, known) == {known["job"]}
        visitor.fill(f"{session}/attach_job/", {"job_id": known["clone"]})
        assert self.jobs(client, known) == both
        visitor.fill(f"{session}/manage_jobs/", {"selected_jobs_role_member": [known["clone"]]})
        assert self.jobs(client, known) == {known["clone"]}
        assert not client.call("GET", f"jobs/{known['job']}").get("session_id")

    def test_a_session_is_edited(self, visitor, client, known):
        visitor.fill(f"freezer-sessions/edit/{known['session']}", {"description": "all", "interval_unit": "days", "interval_value": 3})
        session = client.call("GET", f"sessions/{known['session']}")
        assert (session["description"], session["schedule"]["schedule_interval"]) == ("all", "3 days")
        assert self.jobs(client, known) == {known["clone"]}

    def test_backups(self, visitor, known):
        assert len(visitor.open("freezer-backups/").rows()) == 2
        if SEARCHES:
            assert [row[2] for row in visitor.search("tree-of-two").rows()] == [HOSTS[1]]
        assert len(visitor.search("").rows()) == 2
        details = visitor.open(f"freezer-backups/{known[f'backup of {HOSTS[0]}']}").details()
        assert (details["Backup Name"], details["Client Hostname"]) == (f"tree-of-{HOSTS[0]}", HOSTS[0])

    def test_a_backup_is_restored(self, visitor, client, known):
        """The form of 19.0.0 shows no client to choose: its template is not given the list, whatever the API answers. Sent is what it would."""
        form = f"freezer-backups/restore/{known[f'backup of {HOSTS[0]}']}"
        assert "No clients found." in text(visitor.open(form).page)
        visitor.fill(form, {"path": "/tmp/back"}, client=HOSTS[1])
        [job] = [job for job in client.call("GET", "jobs")["jobs"] if job["job_id"] not in (known["job"], known["clone"])]
        assert (job["client_id"], job["job_schedule"]["event"]) == (HOSTS[1], "start")
        [action] = job["job_actions"]
        wanted = {"action": "restore", "backup_name": f"tree-of-{HOSTS[0]}", "restore_abs_path": "/tmp/back", "container": "/b",
                  "storage": "local", "restore_from_date": "2026-09-21T14:13:20"}
        assert wanted.items() <= action["freezer_action"].items()
        known["restore"] = job["job_id"]

    def test_what_is_not_wanted_is_deleted(self, visitor, client, known):
        visitor.open("freezer-jobs/").press("delete", known["restore"])
        visitor.open("freezer-jobs/").press("delete_multiple_jobs", known["job"], known["clone"])
        assert client.call("GET", "jobs")["jobs"] == []
        visitor.open("freezer-sessions/").press("delete", known["session"])
        assert client.call("GET", "sessions")["sessions"] == []
        visitor.open("freezer-backups/").press("delete_multiple_backups", *(known[f"backup of {host}"] for host in HOSTS))
        assert client.call("GET", "backups")["backups"] == []
        visitor.open("freezer-actions/").press("delete", known["etc"])
        actions = [action["action_id"] for action in client.call("GET", "actions")["actions"]]
        assert known["etc"] not in actions
        visitor.open("freezer-actions/").press("delete_multiple_actions", *actions)
        assert client.call("GET", "actions")["actions"] == []
        visitor.open("freezer-clients/").press("delete_multiple_clients", *HOSTS)
        assert client.call("GET", "clients")["clients"] == []

    def test_a_real_host_runs_a_job_of_the_wizard(self, visitor, client, scheduler, tmp_path):
        """The form ticks no_incremental, which is no option of freezer-agent 19.0.0 any more: it breaks down when it reads it."""
        [host] = client.call("GET", "clients")["clients"]
        (tmp_path / "file").write_text("the text")
        visitor.fill("freezer-actions/create/", {**ACTION, "backup_name": "real", "path_to_backup": str(tmp_path), "engine_name": "tar",
                                                 "container": str(scheduler.folder / "storage"), "log_file": str(scheduler.folder / "agent.log"),
                                                 "no_incremental": False})
        [action] = client.call("GET", "actions")["actions"]
        visitor.fill("freezer-jobs/create/", {"description": "real", "selected_clients_role_member": [host["client"]["uuid"]],
                                              "actions": f"{action['action_id']}==="})
        [job] = client.call("GET", "jobs")["jobs"]
        assert job["client_id"] == services.HOST
        visitor.open("freezer-jobs/").press("start_job", job["job_id"])
        scheduler.wait("the end of the job", lambda: schedule(client, job["job_id"]).get("status") == "completed")
        [row] = visitor.open("freezer-jobs/").rows()
        assert row[1:5] == ["real", services.HOST, "completed", "success"], scheduler.log()[-4000:]
        [backup] = visitor.open("freezer-backups/").rows()
        assert backup[1] == "real"


@pytest.mark.parametrize("api", proxies.MAKERS, indirect=True, scope="module")
def test_through_a_proxy(visitor, client, known):
    """Each kind of request: searches have a body in a GET."""
    assert [row[1] for row in visitor.open("freezer-clients/").search("two.example").rows()] == [HOSTS[1]]
    visitor.fill("freezer-actions/create/", ACTION)
    [action] = client.call("GET", "actions")["actions"]
    visitor.fill("freezer-jobs/create/", {"description": "nightly", "actions": f"{action['action_id']}===",
                                          "selected_clients_role_member": [uuid_of(client, HOSTS[0])]})
    [job] = client.call("GET", "jobs")["jobs"]
    visitor.open("freezer-jobs/").press("start_job", job["job_id"])
    assert schedule(client, job["job_id"])["event"] == "start"
    visitor.fill(f"freezer-jobs/edit/{job['job_id']}", {"description": "weekly"})
    visitor.fill("freezer-sessions/create/", {"description": "together", "selected_jobs_role_member": [job["job_id"]]})
    [session] = client.call("GET", "sessions")["sessions"]
    assert set(session["jobs"]) == {job["job_id"]}
    assert visitor.open(f"freezer-jobs/{job['job_id']}").details()["Description"] == "weekly"
    visitor.press("delete", job["job_id"])
    assert client.call("GET", "jobs")["jobs"] == []
