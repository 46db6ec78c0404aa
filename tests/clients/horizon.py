"""Horizon 27.0.0 with freezer-web-ui 19.0.0, and one who works with it: pages are fetched, their forms filled in and sent."""

import pathlib

import mechanicalsoup

import services

# Horizon reads it as its local/local_settings.py.
SETTINGS = """import freezer_ui.enabled
import openstack_dashboard.local.enabled

# An operator copies the files of the plugin there.
openstack_dashboard.local.enabled.__path__.extend(freezer_ui.enabled.__path__)
ALLOWED_HOSTS = ["127.0.0.1"]
SECRET_KEY = "that of the tests"
OPENSTACK_KEYSTONE_URL = "{keystone}"
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
CACHES = {{"default": {{"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "{folder}/cache"}}}}
LOGGING = {{"version": 1, "disable_existing_loggers": False, "handlers": {{"log": {{"class": "logging.StreamHandler"}}}},
           "loggers": {{"django.request": {{"handlers": ["log"], "level": "ERROR"}}}}}}
# Nobody sees the pages, so their styles need not be made.
COMPRESS_ENABLED = False
COMPRESS_PRECOMPILERS = ()
"""


class Horizon:
    """Horizon, which finds the API in Keystone's catalogue, and trusts the certificates of `bundle`."""

    def __init__(self, folder, keystone_url, bundle):
        self.folder = pathlib.Path(folder)
        self.port = services.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.bundle = bundle
        (self.folder / "local").mkdir()
        (self.folder / "local" / "__init__.py").touch()
        (self.folder / "local" / "local_settings.py").write_text(SETTINGS.format(keystone=keystone_url, folder=folder))

    def start(self):
        """Starts it; the first page takes some seconds."""
        environment = {"PYTHONPATH": str(self.folder), "PYTHONWARNINGS": "ignore", "REQUESTS_CA_BUNDLE": str(self.bundle),
                       "OS_CACERT": str(self.bundle)}
        return services.uwsgi("horizon.uwsgi", self.folder, self.port, f"{self.url}/auth/login/", "--processes", 1, "--threads", 4,
                              "--enable-threads", "--add-header", "Connection: close", "--http-socket", f"127.0.0.1:{self.port}",
                              "--module", "openstack_dashboard.wsgi:application", environment=environment)

    def log(self):
        """What it has written."""
        return (self.folder / "horizon.uwsgi.log").read_text()


def text(element):
    """What is read of an element."""
    return " ".join(element.get_text(" ").split())


class Visitor:
    """A browser without scripts, logged in as `user` (password = name). Whatever it sees must be free of errors and warnings."""

    def __init__(self, horizon, user):
        self.horizon = horizon
        self.browser = mechanicalsoup.StatefulBrowser()
        self.browser.open(f"{horizon.url}/auth/login/")
        form = self.browser.select_form("form")
        form["username"] = form["password"] = user
        # The first page is of Nova, which does not run here.
        answer = self.browser.submit_selected()
        assert "/auth/login" not in answer.url, self.alerts("danger")

    @property
    def page(self):
        return self.browser.page

    def alerts(self, kind):
        """The messages of the page: `success`, `warning` or `danger`."""
        return [text(alert) for alert in self.page.select(f".alert-{kind}") if not alert.find_parent("noscript")]

    def check(self, answer):
        """Fails unless the page is one that a user wants to see."""
        wrong = self.alerts("danger") + self.alerts("warning") + [text(error) for error in self.page.select(".has-error .help-block.alert")]
        assert answer.status_code == 200 and not wrong, f"{answer.url}: {answer.status_code} {wrong}\n{self.horizon.log()[-3000:]}"
        assert "/auth/login" not in answer.url, answer.url
        return self

    def open(self, path):
        """Goes to a page below Project."""
        return self.check(self.browser.open(f"{self.horizon.url}/project/{path}"))

    def rows(self):
        """The texts of the table's cells, by row."""
        rows = self.page.select("table.datatable tbody tr")
        return [[text(cell) for cell in row.select("td")] for row in rows if "empty" not in row.get("class", [])]

    def details(self):
        """What the page says of one thing."""
        return {text(term): text(term.find_next("dd")) for term in self.page.select("dl dt")}

    def search(self, words):
        """Types into the search box of the list."""
        [box] = self.page.select(".table_search input[type=text]")
        form = self.browser.select_form(box.find_parent("form"))
        form[box["name"]] = words
        return self.send()

    def press(self, action, *ids):
        """Presses a button: `start_job` of a row, or `delete_multiple_jobs` above the table with rows that are ticked."""
        multiple = "multiple" in action
        [button] = [button for button in self.page.select("button[name=action]")
                    if (button["value"].endswith(f"__{action}") if multiple else button["value"].endswith(f"__{action}__{ids[0]}"))]
        form = self.browser.select_form(button.find_parent("form"))
        if multiple:
            for box in form.form.select("input[name=object_ids]"):
                if box["value"] in ids:
                    box["checked"] = ""
        form.choose_submit(button)
        return self.send()

    def fill(self, path, fields, **missing):
        """Opens a form, changes some of its fields, and sends it with all the others as they came, and with those that are missing."""
        self.open(path)
        form = self.browser.select_form(".workflow form")
        for name, value in missing.items():
            assert self.page.find(attrs={"name": name}) is None, f"{name} is there after all"
            form.new_control("hidden", name, value)
        for name, value in fields.items():
            form[name] = value
        return self.send()

    def send(self):
        """Sends the form that is selected."""
        return self.check(self.browser.submit_selected())
