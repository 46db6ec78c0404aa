"""The measurements of bench/nodes: prints what bench/schedulers says of each arrangement."""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "clients"))
import services  # noqa: E402

from subjects import Busy, resident  # noqa: E402
from engines import ENGINES  # noqa: E402

TARGET = ROOT / "target" / "bench-build"


def proxy(folder, ports):
    """HAProxy as deploy/haproxy.cfg has it, without TLS, in front of these ports: the process and its port."""
    port = services.free_port()
    text = (ROOT / "deploy" / "haproxy.cfg").read_text()
    lines = [line for line in text.splitlines() if not line.strip().startswith("server ")]
    lines += [f"    server node{number} 127.0.0.1:{node}" for number, node in enumerate(ports, 1)]
    text = "\n".join(lines).replace("bind :9443 ssl crt /etc/haproxy/freezer.pem alpn h2,http/1.1", f"bind 127.0.0.1:{port}")
    configuration = folder / f"haproxy-{len(ports)}.cfg"
    # One thread, so that its own share is seen as that of one process.
    configuration.write_text(text.replace("global\n", "global\n    nbthread 1\n") + "\n")
    return services.Service("haproxy", folder, ["haproxy", "-db", "-f", configuration], f"http://127.0.0.1:{port}/healthcheck"), port


def measure(title, options, port, token, project, watched, busy):
    command = [options.programs / "examples" / "schedulers", "--url", f"http://127.0.0.1:{port}", "--project", project, "--schedulers", options.schedulers,
               "--speed", options.speed, "--seconds", options.seconds, "--watch", *watched]
    before = {name: Busy(pid) for name, pid in busy.items()}
    printed = services.run(*command, env={**os.environ, "OS_TOKEN": token})
    summary = printed[printed.index("| request |"):]
    shares = ", ".join(f"{name} {one.seconds():.1f} s" for name, one in before.items())
    print(f"\n## {title}\n\n{summary.strip()}\nProcessor time: {shares}. Resident: {', '.join(f'{resident(pid):.0f} MB' for pid in watched)}.", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="bench/nodes", description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--schedulers", type=int, default=1000)
    parser.add_argument("--speed", type=float, default=60)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--no-build", action="store_true")
    parser.add_argument("--programs", type=pathlib.Path)
    options = parser.parse_args()
    if not options.no_build and not options.programs:
        subprocess.run(["cargo", "build", "--release", "--locked", "--bins", "--example", "schedulers", "--target-dir", TARGET], cwd=ROOT, check=True)
    options.programs = (options.programs or TARGET / "release").absolute()
    services.Ours.programs = options.programs
    keystone, engine = os.environ["FREEZER_TEST_KEYSTONE_URL"], ENGINES["mariadb"]
    token, project = services.token_for(keystone, "demo", "demo")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        url = engine.fresh("bench_nodes", folder)
        nodes = []
        for number in range(max(options.nodes)):
            (folder / f"node{number}").mkdir()
            nodes.append(services.Ours(folder / f"node{number}", url, keystone))
        nodes[0].db_sync()
        running = [node.start() for node in nodes]
        try:
            pids, database = [service.process.pid for service in running], engine.process(url)
            measure("one process", options, nodes[0].port, token, project, pids[:1], {"API": pids[0], "MariaDB": database})
            for count in options.nodes:
                service, port = proxy(folder, [node.port for node in nodes[:count]])
                with service:
                    busy = {f"API {number}": pid for number, pid in enumerate(pids[:count], 1)}
                    busy |= {"HAProxy": service.process.pid, "MariaDB": database}
                    title = f"{count} {'process' if count == 1 else 'processes'} behind HAProxy"
                    measure(title, options, port, token, project, pids[:count], busy)
        finally:
            for service in running:
                service.stop()


main()
