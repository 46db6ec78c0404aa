"""Our programs behind HAProxy, nginx or Apache, with the configurations of `deploy/`, which end TLS.

`FREEZER_TEST_PROXY=haproxy`, `nginx` or `apache` runs the scenarios through one: `for p in haproxy nginx apache; do
FREEZER_TEST_PROXY=$p ./test freezer_command scheduler tempest; done`.
"""

import contextlib
import os
import pathlib
import re
import subprocess

import services

DEPLOY = pathlib.Path(__file__).parents[2] / "deploy"
APACHE_MODULES = ("mpm_event", "authz_core", "proxy", "proxy_http", "headers", "socache_shmcb", "ssl")


def certificate(folder):
    """Makes a certificate for 127.0.0.1 that the clients of this process trust from now on."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    (folder / "both.pem").write_bytes(cert.read_bytes() + key.read_bytes())
    # requests, and with it keystoneauth; Python's own client of HTTP; the commands.
    os.environ.update(REQUESTS_CA_BUNDLE=str(cert), SSL_CERT_FILE=str(cert), OS_CACERT=str(cert))
    return folder


def haproxy(folder, port, service):
    text = (DEPLOY / "haproxy.cfg").read_text()
    text = text.replace("/etc/haproxy/freezer.pem", f"{folder}/both.pem").replace("bind :9443", f"bind 127.0.0.1:{port}")
    return text.replace("192.0.2.1:9090", service).replace("    server node2 192.0.2.2:9090\n", ""), ["haproxy", "-f"], ""


def nginx(folder, port, service):
    text = (DEPLOY / "nginx.conf").read_text()
    for there, here in (("unix:/run/freezer/api.sock", service), ("/etc/nginx/freezer.crt", f"{folder}/cert.pem"),
                        ("/etc/nginx/freezer.key", f"{folder}/key.pem"), ("listen 443", f"listen 127.0.0.1:{port}")):
        text = text.replace(there, here)
    kinds = ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
    folders = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    return (f"user root;\ndaemon off;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{folders}\n{text}}}\n",
            ["nginx", "-p", folder, "-c"], "backup/")


def apache(folder, port, service):
    text = (DEPLOY / "apache.conf").read_text()
    for there, here in (("192.0.2.1:9090", service), ("/etc/apache2/freezer.crt", f"{folder}/cert.pem"),
                        ("/etc/apache2/freezer.key", f"{folder}/key.pem"), ("Listen 443", f"Listen 127.0.0.1:{port}"),
                        ("*:443", f"127.0.0.1:{port}")):
        text = text.replace(there, here)
    modules = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in APACHE_MODULES)
    return (f"ServerRoot {folder}\nServerName localhost\nDefaultRuntimeDir {folder}\nPidFile {folder}/pid\nErrorLog /dev/stderr\n"
            f"{modules}User www-data\nGroup www-data\n{text}", ["apache2", "-DFOREGROUND", "-f"], "backup/")


MAKERS = {"haproxy": haproxy, "nginx": nginx, "apache": apache}


class Behind(services.Ours):
    """Our programs on one database, behind the proxy that `FREEZER_TEST_PROXY` names."""

    def __init__(self, folder, database_url, keystone_url):
        super().__init__(folder, database_url, keystone_url)
        with open(self.configuration, "a") as configuration:
            configuration.write("[oslo_middleware]\nenable_proxy_headers_parsing = true\n")
        self.inner = self.url
        self.proxy_folder = certificate(pathlib.Path(folder))
        port = services.free_port()
        make = MAKERS[os.environ["FREEZER_TEST_PROXY"]]
        text, self.command, prefix = make(self.proxy_folder, port, f"127.0.0.1:{self.port}")
        assert not re.search(r"192\.0\.2\.|/etc/", text), text
        (self.proxy_folder / "proxy.conf").write_text(text)
        self.url = f"https://127.0.0.1:{port}/{prefix}"

    @contextlib.contextmanager
    def start(self):
        """Starts the server, and the proxy in front of it."""
        command = [*self.command, self.proxy_folder / "proxy.conf"]
        server = services.Service("freezer-api", self.folder,
                                  [self.programs / "freezer-api", "--config-file", self.configuration], f"{self.inner}healthcheck")
        with server, services.Service("proxy", self.proxy_folder, command, f"{self.url}healthcheck"):
            yield
