"""The API tests of OpenStack's integration suite (freezer-tempest-plugin 3.5.0)."""

import os
import re
import subprocess

import pytest

from services import PYTHON_PROGRAMS, run

SUITE = "freezer_tempest_plugin.tests.freezer_api"
TESTS = 34

CONFIGURATION = """[DEFAULT]
log_dir = {workspace}/logs
log_file = tempest.log
[oslo_concurrency]
lock_path = {workspace}/locks
[auth]
use_dynamic_credentials = true
admin_username = admin
admin_password = admin
admin_project_name = admin
admin_domain_name = Default
tempest_roles = member
create_isolated_networks = false
[identity]
uri = {keystone}
uri_v3 = {keystone}
auth_version = v3
region = RegionOne
v3_endpoint_type = public
ca_certificates_file = {authorities}
[identity-feature-enabled]
api_v2 = false
api_v3 = true
[service_available]
nova = false
neutron = false
cinder = false
glance = false
swift = false
freezer = true
[backup]
region = RegionOne
catalog_type = backup
endpoint_type = publicURL
"""


def test_all_of_the_plugins_api_tests_pass(api, keystone, tmp_path):
    workspace = tmp_path / "tempest"
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{PYTHON_PROGRAMS}:{os.environ['PATH']}"}
    run(PYTHON_PROGRAMS / "tempest", "init", workspace, env=environment)
    (workspace / "etc" / "tempest.conf").write_text(CONFIGURATION.format(
        workspace=workspace, keystone=keystone, authorities=os.environ.get("OS_CACERT", "")))
    done = subprocess.run([PYTHON_PROGRAMS / "tempest", "run", "--serial", "--regex", SUITE], cwd=workspace, env=environment,
                          text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    counts = {name.lower(): int(number) for name, number in re.findall(r"^ - (Passed|Failed|Skipped): (\d+)$", done.stdout, re.M)}
    if done.returncode != 0 or counts != {"passed": TESTS, "skipped": 0, "failed": 0}:
        pytest.fail(f"{counts}\n{done.stdout}", pytrace=False)
