"""The real programs around the API, each as a process on a loopback port of its own.

Keystone and the Python reference run under uWSGI as operators run them; our own programs come from the folder that
`FREEZER_TEST_BIN` names. A service lives as long as its `with` block.
"""

import contextlib
import grp
import os
import pathlib
import pwd
import random
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import openstack
import psycopg2
import pymysql
import requests
from sqlalchemy.engine import make_url

PYTHON_PROGRAMS = pathlib.Path(sys.executable).parent
OUR_PROGRAMS = pathlib.Path(os.environ.get("FREEZER_TEST_BIN", "target/debug")).absolute()


# For servers that are started later, or again: none of them is given to a client that connects, as those from 32768 on are. The
# Rust tests and tests/servers.sh have others.
PORTS = list(range(17000, 20000))
random.shuffle(PORTS)


def free_port():
    """A loopback port that was free a moment ago, another one each time."""
    while True:
        port = PORTS.pop()
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def children(pid):
    """The ids of a process's children."""
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(number) for number in text.split()]


def run(*command, **options):
    """Runs a command to its end and returns its standard output; a failure shows all that it wrote."""
    done = subprocess.run([str(part) for part in command], text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    if done.returncode != 0:
        name = pathlib.Path(str(command[0])).name
        raise AssertionError(f"{name} {' '.join(map(str, command[1:]))}\nended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def mysql_server():
    """Address, port, user and password of the run's MariaDB, as arguments of pymysql.connect."""
    url = make_url(os.environ["FREEZER_TEST_MYSQL_URL"])
    return {"host": url.host, "port": url.port, "user": url.username, "password": url.password}


def fresh_database(server_url, name):
    """Makes the empty database `name` on the server of `server_url` (a SQLAlchemy URL without one) and returns its URL."""
    if server_url.startswith("mysql"):
        with pymysql.connect(**mysql_server()) as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return f"{server_url}{name}?charset=utf8mb4"
    url = make_url(server_url)
    connection = psycopg2.connect(host=url.host, port=url.port, user=url.username, password=url.password, dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    connection.close()
    return f"{server_url}{name}"


class Service:
    """A process, its log file, and the URL at which it answers."""

    def __init__(self, name, folder, command, ready_url, environment=None):
        self.log = pathlib.Path(folder) / f"{name}.log"
        self.name = name
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=folder, env={**os.environ, **(environment or {})})
        try:
            self._wait_for(ready_url)
        except BaseException:
            self.stop()
            raise

    def _wait_for(self, url, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log.read_text()}")
            try:
                urllib.request.urlopen(url, timeout=5).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"{self.name} does not answer at {url}:\n{self.log.read_text()}")

    def stop(self):
        """Ends it by SIGTERM, or SIGKILL when that does not help. Returns its exit status."""
        if self.process.poll() is None:
            workers = [os.pidfd_open(pid) for pid in children(self.process.pid)]
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
            # A worker of uWSGI that is still loading outlives its master and keeps the port.
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(worker, signal.SIGKILL)
                select.select([worker], [], [])
                os.close(worker)
        return self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def uwsgi(name, folder, port, ready_url, *options, environment=None):
    """A Python web service in two processes."""
    command = [PYTHON_PROGRAMS / "uwsgi", "--processes", 2, "--master", "--die-on-term", "--lazy-apps",
               "--buffer-size", 65535, "--post-buffering", 65536, "--listen", 100, *options]
    return Service(name, folder, command, ready_url, environment)


class Keystone:
    """Keystone with the accounts of the tests (domain Default, password = name).

    admin (admin in project admin), demo (member of demo), viewer (reader in demo), other (member of other),
    nobody (a role of no meaning in demo), freezer (service and admin in project service).
    """

    def __init__(self, folder, port=None):
        self.folder = pathlib.Path(folder).absolute()
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/v3"

    def prepare(self, database_url):
        """Makes tables, keys, the first administrator, the accounts and the catalogue."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "keystone.conf").write_text(f"""[DEFAULT]
log_file = {self.folder}/keystone.log
[database]
connection = {database_url}
[token]
provider = fernet
[fernet_tokens]
key_repository = {self.folder}/fernet-keys
[credential]
key_repository = {self.folder}/credential-keys
[identity]
password_hash_rounds = 4
[auth]
methods = password,token,application_credential,totp
""")
        owner = ["--keystone-user", pwd.getpwuid(os.getuid()).pw_name, "--keystone-group", grp.getgrgid(os.getgid()).gr_name]
        manage = [PYTHON_PROGRAMS / "keystone-manage", "--config-file", self.folder / "keystone.conf"]
        run(*manage, "db_sync")
        run(*manage, "fernet_setup", *owner)
        run(*manage, "credential_setup", *owner)
        run(*manage, "bootstrap", "--bootstrap-password", "admin", "--bootstrap-region-id", "RegionOne",
            "--bootstrap-admin-url", self.url, "--bootstrap-internal-url", self.url, "--bootstrap-public-url", self.url)

    def start(self):
        """Starts it on what `prepare` made; a second one may serve the same folder."""
        environment = {"OS_KEYSTONE_CONFIG_DIR": str(self.folder), "OS_KEYSTONE_CONFIG_FILES": "keystone.conf"}
        return uwsgi("keystone.uwsgi", self.folder, self.port, self.url, "--add-header", "Connection: close",
                     "--http-socket", f"127.0.0.1:{self.port}", "--module", "keystone.wsgi.api:application",
                     environment=environment)

    def seed(self):
        """Makes the accounts; harmless when they are there."""
        identity = connect(self.url).identity
        roles = {role.name: role for role in identity.roles()}
        for name in ("admin", "manager", "member", "reader", "service", "bystander"):
            if name not in roles:
                roles[name] = identity.create_role(name=name)
        for user, project, names in (("demo", "demo", ["member"]), ("viewer", "demo", ["reader"]), ("other", "other", ["member"]),
                                     ("nobody", "demo", ["bystander"]), ("freezer", "service", ["service", "admin"])):
            owner = identity.find_user(user) or identity.create_user(name=user, password=user, domain_id="default")
            scope = identity.find_project(project) or identity.create_project(name=project, domain_id="default")
            for name in names:
                identity.assign_project_role_to_user(scope, owner, roles[name])
        if not identity.find_service("freezer"):
            identity.create_service(name="freezer", type="backup")


def connect(keystone_url):
    """openstacksdk as the administrator."""
    return openstack.connect(auth_url=keystone_url, username="admin", password="admin", project_name="admin",
                             user_domain_name="Default", project_domain_name="Default", region_name="RegionOne",
                             load_envvars=False, load_yaml_config=False)


def publish(keystone_url, api_url):
    """Makes `api_url` the backup service's endpoint in the catalogue."""
    identity = connect(keystone_url).identity
    service = identity.find_service("freezer")
    for endpoint in list(identity.endpoints(service_id=service.id)):
        identity.delete_endpoint(endpoint)
    for interface in ("public", "internal", "admin"):
        identity.create_endpoint(service_id=service.id, interface=interface, url=api_url, region_id="RegionOne")


def token_for(keystone_url, name, project):
    """A token of the account `name` in `project`, and the project's id."""
    domain = {"id": "default"}
    answer = requests.post(f"{keystone_url}/auth/tokens", timeout=30, json={"auth": {
        "identity": {"methods": ["password"], "password": {"user": {"name": name, "domain": domain, "password": name}}},
        "scope": {"project": {"name": project, "domain": domain}}}})
    answer.raise_for_status()
    return answer.headers["X-Subject-Token"], answer.json()["token"]["project"]["id"]


class Rest:
    """REST calls as the account demo of project demo."""

    def __init__(self, url, keystone_url):
        token, project = token_for(keystone_url, "demo", "demo")
        self.base = f"{url}v2/{project}"
        self.session = requests.Session()
        self.session.headers["X-Auth-Token"] = token

    def call(self, method, path, document=None):
        """The answer's document (None when it has none); anything but success fails."""
        answer = self.session.request(method, f"{self.base}/{path}", json=document, timeout=30)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None


def freezer_configuration(database_url, keystone_url, extra=""):
    """A freezer-api.conf that both the reference and our programs read."""
    return f"""[DEFAULT]
{extra}
[database]
connection = {database_url}
max_pool_size = 20
[storage]
backend = sqlalchemy
driver = sqlalchemy
[keystone_authtoken]
www_authenticate_uri = {keystone_url}
auth_url = {keystone_url}
auth_type = password
username = freezer
password = freezer
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = RegionOne
interface = internal
"""


class Ours:
    """Our programs on one database."""

    label = "ours"
    programs = OUR_PROGRAMS

    def __init__(self, folder, database_url, keystone_url):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.configuration = self.folder / "freezer-api.conf"
        listen = f"bind_host = 127.0.0.1\nbind_port = {self.port}"
        self.configuration.write_text(freezer_configuration(database_url, keystone_url, listen))

    def db_sync(self):
        """Makes the tables."""
        return run(self.programs / "freezer-manage", "--config-file", self.configuration, "db", "sync")

    def start(self):
        """Starts the server."""
        return Service("freezer-api", self.folder, [self.programs / "freezer-api", "--config-file", self.configuration],
                       f"{self.url}healthcheck")


class Reference:
    """The Python programs of freezer-api 19.0.0 on one database."""

    label = "reference"

    def __init__(self, folder, database_url, keystone_url):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.configuration = self.folder / "reference.conf"
        paste = PYTHON_PROGRAMS.parent / "etc" / "freezer" / "freezer-paste.ini"
        text = freezer_configuration(database_url, keystone_url, f"log_dir = {self.folder}")
        self.configuration.write_text(f"{text}[paste_deploy]\nconfig_file = {paste}\n")
        # The reference reads its configuration from the command line, which uWSGI keeps for itself.
        (self.folder / "reference_wsgi.py").write_text(
            f"import sys\nsys.argv = ['freezer-api', '--config-file', {str(self.configuration)!r}]\n"
            "from freezer_api.wsgi import application\n")

    def db_sync(self):
        """Makes the tables."""
        return run(PYTHON_PROGRAMS / "freezer-manage", "--config-file", self.configuration, "db", "sync")

    def start(self):
        """Starts the server."""
        return uwsgi("reference.uwsgi", self.folder, self.port, f"{self.url}healthcheck", "--threads", 4, "--enable-threads",
                     "--http11-socket", f"127.0.0.1:{self.port}", "--so-keepalive", "--module", "reference_wsgi:application",
                     environment={"PYTHONPATH": str(self.folder)})


def host_environment(folder, **others):
    """The variables of a program on a host whose home lies in this folder, without those of any account but these."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    return {**environment, "HOME": str(folder / "home"), "PATH": f"{PYTHON_PROGRAMS}:{environment['PATH']}", **others}


def account(keystone_url):
    """The variables of the account demo of project demo, as an openrc file has them."""
    return {"OS_AUTH_URL": keystone_url, "OS_USERNAME": "demo", "OS_PASSWORD": "demo", "OS_PROJECT_NAME": "demo",
            "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default", "OS_IDENTITY_API_VERSION": "3"}


HOST = "runner.example.org"


class Scheduler:
    """freezer-scheduler of one host, which polls every second and runs several jobs at once."""

    def __init__(self, folder, keystone_url, host=HOST):
        self.folder = pathlib.Path(folder)
        self.host = host
        self.configuration = self.folder / "scheduler.conf"
        for name in ("jobs", "home", "storage"):
            (self.folder / name).mkdir(exist_ok=True)
        self.configuration.write_text(f"""[DEFAULT]
log_file = {folder}/scheduler.log
[scheduler]
client_id = {host}
interval = 1
jobs_dir = {folder}/jobs
no_daemon = true
concurrent_jobs = 8
[service_auth]
os_auth_url = {keystone_url}
os_username = demo
os_password = demo
os_project_name = demo
os_user_domain_name = Default
os_project_domain_name = Default
""")
        self.process = None

    def start(self):
        """Starts it; again, where it was killed."""
        command = [str(PYTHON_PROGRAMS / "freezer-scheduler"), "--config-file", str(self.configuration), "start"]
        with open(self.folder / "scheduler.out", "ab") as output:
            # A group of its own, so that its agents end with it.
            self.process = subprocess.Popen(command, env=host_environment(self.folder), cwd=self.folder, stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=output, start_new_session=True)
        return self

    def kill(self):
        """Ends it and its agents at once, as a host does that loses its power."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def log(self):
        """What it has written."""
        log = self.folder / "scheduler.log"
        return log.read_text() if log.exists() else ""

    def wait(self, what, condition, seconds=120):
        """What the condition comes to, once it is true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := condition():
                return found
            time.sleep(0.2)
        raise AssertionError(f"{what} did not come; the scheduler says:\n{self.log()[-6000:]}")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()
