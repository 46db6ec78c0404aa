"""What the scenarios share: the API under test on each engine, published in Keystone's catalogue.

`FREEZER_TEST_SUBJECT=reference` runs the scenarios against the Python server instead (on MariaDB), which tells a mistake in a
scenario from a mistake in our server; `FREEZER_TEST_PROXY` puts a proxy in front (proxies.py).
"""

import os
import signal

import pytest

import proxies
import services

SUBJECT = {"ours": services.Ours, "reference": services.Reference}[os.environ.get("FREEZER_TEST_SUBJECT", "ours")]
if os.environ.get("FREEZER_TEST_PROXY"):
    SUBJECT = proxies.Behind


def pytest_configure():
    """SIGTERM ends a run like Ctrl-C does: what was started is stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def keystone():
    """Keystone's URL."""
    return os.environ["FREEZER_TEST_KEYSTONE_URL"]


def database_url(engine, name, folder):
    """A fresh database; skips where the engine's server does not run."""
    if engine == "sqlite":
        return f"sqlite:///{folder}/freezer.db"
    variable = {"mariadb": "FREEZER_TEST_MYSQL_URL", "postgres": "FREEZER_TEST_POSTGRES_URL"}[engine]
    if not os.environ.get(variable):
        pytest.skip(f"{engine} does not run")
    if SUBJECT is services.Reference and engine != "mariadb":
        pytest.skip("the reference is run on MariaDB only")
    return services.fresh_database(os.environ[variable], name)


@pytest.fixture(scope="module", params=["mariadb", "postgres", "sqlite"])
def engine(request):
    """The engines in turn; a module that needs only one overrides it."""
    return request.param


@pytest.fixture(scope="module")
def api(request, engine, keystone, tmp_path_factory):
    """The URL of the API under test, with fresh tables, as the catalogue gives it."""
    folder = tmp_path_factory.mktemp("api")
    scenario = request.module.__name__.removeprefix("test_")
    server = SUBJECT(folder, database_url(engine, f"clients_{scenario}", folder), keystone)
    server.db_sync()
    with server.start():
        services.publish(keystone, server.url)
        yield server.url


@pytest.fixture(scope="module")
def client(api, keystone):
    """REST calls to the API under test."""
    return services.Rest(api, keystone)


@pytest.fixture(scope="module")
def scheduler(client, keystone, engine, tmp_path_factory):
    """The scheduler of one host, which has registered there."""
    with services.Scheduler(tmp_path_factory.mktemp(f"host-{engine}"), keystone) as scheduler:
        scheduler.wait("the host", lambda: client.call("GET", "clients")["clients"])
        yield scheduler
