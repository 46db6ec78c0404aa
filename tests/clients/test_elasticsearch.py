"""freezer-scheduler 19.0.0 goes on with what older releases kept in Elasticsearch, once it is imported."""

import json
import os
import subprocess
import uuid

import pytest
import requests

import services
from conftest import SUBJECT, database_url
from services import HOST, PYTHON_PROGRAMS, Rest, Scheduler, account, host_environment, token_for
from test_runs import runs
from test_scheduler import contents


@pytest.fixture(scope="module")
def engine():
    """One is enough: tests/it has the import on each."""
    return "mariadb"


@pytest.fixture(scope="module")
def server(engine, keystone, tmp_path_factory):
    if SUBJECT is services.Reference:
        pytest.skip("the reference has no import")
    folder = tmp_path_factory.mktemp("api")
    server = services.Ours(folder, database_url(engine, "clients_elasticsearch", folder), keystone)
    server.db_sync()
    with server.start():
        services.publish(keystone, server.url)
        yield server


@pytest.fixture(scope="module")
def scheduler(keystone, tmp_path_factory):
    """Not started yet."""
    scheduler = Scheduler(tmp_path_factory.mktemp("imported"), keystone)
    yield scheduler
    scheduler.kill()


@pytest.fixture(scope="module")
def backed_up(scheduler, keystone):
    """A folder that the real agent has backed up, and what the agent says of it."""
    folder = scheduler.folder
    source = folder / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "names with spaces é 漢").write_text("text — é 漢\n")
    (source / "file").write_bytes(os.urandom(100_000))
    told = folder / "metadata.json"
    command = [PYTHON_PROGRAMS / "freezer-agent", "--action", "backup", "--mode", "fs", "--storage", "local", "--backup-name", "tree",
               "--path-to-backup", source, "--container", folder / "storage", "--metadata-out", told,
               "--log-file", folder / "agent.log"]
    environment = host_environment(folder, **account(keystone))
    subprocess.run([str(word) for word in command], env=environment, check=True, cwd=folder, stdin=subprocess.DEVNULL)
    return source, json.loads(told.read_text())


def documents(folder, source, metadata, user, project):
    """What freezer-api 15.0.0 writes into Elasticsearch: a host, two jobs with copies of their actions, and the backup."""
    owner = {"user_id": user, "project_id": project}
    action = {"action_id": uuid.uuid4().hex, **owner, "freezer_action": {
        "action": "backup", "mode": "fs", "storage": "local", "backup_name": "again", "path_to_backup": str(source),
        "container": str(folder / "storage"), "log_file": str(folder / "agent.log")}}
    times = {"time_created": 1_500_000_000, "time_started": -1, "time_ended": -1}

    def job(description, schedule):
        return "jobs", {"job_id": uuid.uuid4().hex, "client_id": HOST, "description": description, "job_actions": [action],
                        "job_schedule": {**times, **schedule}, **owner}

    return [
        ("clients", {"client": {"client_id": HOST, "hostname": HOST, "description": "", "uuid": uuid.uuid4().hex}, **owner}),
        ("actions", action),
        job("once", {"status": "stop", "event": "start"}),
        job("every two seconds", {"status": "scheduled", "event": "", "schedule_interval": "2 seconds"}),
        ("backups", {"backup_id": uuid.uuid4().hex, "user_name": "demo", "backup_metadata": metadata, **owner}),
    ]


def import_all(server, kept, folder):
    """Imports them: from Elasticsearch 2 where it runs, as the old releases left them there, else from a dump. Each is compared."""
    hits = [{"_index": "freezer", "_type": kind, "_id": uuid.uuid4().hex, "_source": source} for kind, source in kept]
    running = dict(pair.split("=", 1) for pair in os.environ.get("FREEZER_TEST_ELASTICSEARCH", "").split(",") if pair)
    if "es2" in running:
        index = f"freezer-clients-{os.getpid()}"
        lines = []
        for hit in hits:
            lines += [json.dumps({"index": {"_type": hit["_type"], "_id": hit["_id"]}}), json.dumps(hit["_source"])]
        answer = requests.post(f"{running['es2']}/{index}/_bulk?refresh=true", data="\n".join(lines) + "\n", timeout=60)
        assert answer.ok and not answer.json()["errors"], answer.text
        source = ["--url", running["es2"], "--index", index]
    else:
        dump = folder / "dump.jsonl"
        dump.write_text("".join(json.dumps(hit) + "\n" for hit in hits))
        source = ["--file", dump]
    command = [server.programs / "freezer-manage", "--config-file", server.configuration, "import", "elasticsearch", *source]
    assert "every document of freezer-api is in the tables" in services.run(*command, cwd=folder)
    assert "the API shows every document as it was" in services.run(*command, "--verify", cwd=folder)


def test_the_scheduler_goes_on(server, keystone, scheduler, backed_up):
    folder = scheduler.folder
    source, metadata = backed_up
    token, project = token_for(keystone, "demo", "demo")
    answer = requests.get(f"{keystone}/auth/tokens", headers={"X-Auth-Token": token, "X-Subject-Token": token}, timeout=30)
    kept = documents(folder, source, metadata, answer.json()["token"]["user"]["id"], project)
    import_all(server, kept, folder)
    client = Rest(server.url, keystone)
    once, often = [source["job_id"] for kind, source in kept if kind == "jobs"]

    # It polls, runs what is due, and tells how it ended.
    scheduler.start()
    scheduler.wait("a run", lambda: [run["state"] for run in runs(client, once)] == ["success"])
    assert client.call("GET", f"jobs/{once}")["job_schedule"]["result"] == "success"
    scheduler.wait("two runs", lambda: len([run for run in runs(client, often) if run["state"] == "success"]) >= 2)
    client.call("POST", f"jobs/{often}/event", {"stop": None})
    [known] = client.call("GET", "clients")["clients"]
    assert known["client"]["uuid"] == kept[0][1]["client"]["uuid"]
    made = [backup for backup in client.call("GET", "backups?limit=100")["backups"] if backup["backup_metadata"]["backup_name"] == "again"]
    assert {backup["backup_metadata"]["job_id"] for backup in made} == {once, often}

    # What the agent backed up before comes back by what its record says.
    record = client.call("GET", f"backups/{kept[-1][1]['backup_id']}")["backup_metadata"]
    restored = folder / "restored"
    restored.mkdir()
    restore = client.call("POST", "jobs", {"client_id": HOST, "description": "restore", "job_actions": [{
        "freezer_action": {"action": "restore", "mode": record["mode"], "storage": record["storage"], "backup_name": record["backup_name"],
                           "container": record["container"], "hostname": record["hostname"], "restore_abs_path": str(restored),
                           "log_file": str(folder / "agent.log")},
        "max_retries": 0}]})
    scheduler.wait("the restore", lambda: [run["state"] for run in runs(client, restore["job_id"])] == ["success"])
    wanted = contents(source)
    assert len(wanted) == 3
    assert contents(restored) == wanted
