"""What schemathesis makes of the OpenAPI document, with all of its checks, on each engine.

`FREEZER_TEST_SCHEMATHESIS` is the number of seconds on each engine; such a run takes a new seed, and the short one always the same.
"""

import os
import pathlib
import re
import subprocess

import pytest

from services import PYTHON_PROGRAMS, token_for

SECONDS = int(os.environ.get("FREEZER_TEST_SCHEMATHESIS", "12"))
SEED = [] if "FREEZER_TEST_SCHEMATHESIS" in os.environ else ["--seed", "1"]
CONFIGURATION = pathlib.Path(__file__).parent / "schemathesis"
# What the slowest engine does in a second, at least. On a busy machine it may take four times as long.
CASES_A_SECOND = 5


def run(api, token, seconds, folder):
    command = [PYTHON_PROGRAMS / "st", "--config-file", CONFIGURATION / "schemathesis.toml", "run", f"{api}v2/openapi.json",
               "--max-time", seconds, *SEED, "--header", f"X-Auth-Token: {token}"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(CONFIGURATION / "hooks.py"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([str(part) for part in command], cwd=folder, text=True, stdin=subprocess.DEVNULL, env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_all_answers_are_those_of_the_document(api, keystone, tmp_path):
    token, _ = token_for(keystone, "admin", "admin")
    for seconds in (SECONDS, 4 * SECONDS):
        done = run(api, token, seconds, tmp_path)
        generated = re.search(r"^  (\d+) generated", done.stdout, re.M)
        cases = int(generated[1]) if generated else 0
        print(f"{cases} cases in {seconds} s")
        if done.returncode != 0 or cases >= SECONDS * CASES_A_SECOND:
            break
    if done.returncode != 0 or cases < SECONDS * CASES_A_SECOND:
        pytest.fail(done.stdout, pytrace=False)
