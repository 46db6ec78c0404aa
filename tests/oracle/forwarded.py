#!/usr/bin/env python3
"""Asks oslo.middleware what the headers of a proxy mean, for the unit test of src/api/forwarded.rs.

Writes forwarded.json beside this file: headers, then scheme, host, prefix and client. Needs oslo.middleware; the same seed gives the
same headers. Lists, of which oslo.middleware takes the whole text, and quotes, which it keeps, are left to tests of our own.
"""

import json
import pathlib
import random

from oslo_config import cfg
from oslo_middleware import HTTPProxyToWSGI
import webob

VALUES = {
    "Forwarded": [
        "proto=https", "host=api.example.com:443", "for=192.0.2.7", "Proto=https;HOST=a", "for=1; proto=http ;by=x", "by=10.0.0.1", "nonsense",
        "proto=;host=", ";;", "proto = https", "host=a=b", "", "for=unknown;proto=https;host=h",
    ],
    "X-Forwarded-Proto": ["https", "http", "", "HTTPS"],
    "X-Forwarded-Host": ["api.example.com", "api.example.com:8443", ""],
    "X-Forwarded-For": ["192.0.2.7", "2001:db8::7", ""],
    "X-Forwarded-Prefix": ["/backup", "/a/b", "", "backup"],
}


def main():
    chance = random.Random(19)
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    middleware = HTTPProxyToWSGI(None, conf)
    conf.set_override("enable_proxy_headers_parsing", True, group="oslo_middleware")
    rows = []
    for _ in range(300):
        headers = [[name, chance.choice(values)] for name, values in VALUES.items() if chance.random() < 0.4]
        request = webob.Request.blank("/")
        request.environ.update({"wsgi.url_scheme": None, "HTTP_HOST": None, "REMOTE_ADDR": None, "SCRIPT_NAME": ""})
        for name, value in headers:
            request.environ["HTTP_" + name.upper().replace("-", "_")] = value
        middleware.process_request(request)
        environ = request.environ
        rows.append([headers, [environ["wsgi.url_scheme"], environ["HTTP_HOST"], environ["SCRIPT_NAME"], environ["REMOTE_ADDR"]]])
    text = "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"
    pathlib.Path(__file__).with_suffix(".json").write_text(text)


if __name__ == "__main__":
    main()
