"""incident.py -- the outage replayed: the same workers and the same outage against one broker and against
tidings, all at the same time on one clock; ends with a verdict table and one HTML page. docs/INCIDENT.md."""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import one
import page
import verdict
from script import make_plan

BROKERS = [n for n, c in one.SYSTEMS.items() if not c.tells_staleness]
HERE = os.path.dirname(os.path.abspath(__file__))


def installed(name):
    program = getattr(one.SYSTEMS[name], "program", None)
    return program is None or shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin") is not None


def arguments():
    p = argparse.ArgumentParser(prog="scripts/demo incident", formatter_class=argparse.RawDescriptionHelpFormatter,
                                description=__doc__, epilog="examples:\n  scripts/demo incident\n"
                                "  scripts/demo incident --against redis --no-restarts\n  scripts/demo incident --backlog 1e6\n")
    p.add_argument("--against", help=f"{'|'.join(BROKERS)}|all|none, comma-separated; default: plain and those installed")
    p.add_argument("--install", action="store_true", help="install the Debian packages of the brokers asked for")
    p.add_argument("--check", action="store_true", help="short form that checks itself: plain against tidings")
    p.add_argument("--backlog", type=float, metavar="N", help="instead: what N missed updates cost at the heal")
    p.add_argument("--jobs", type=int, default=10000, help="distinct jobs of the backlog (default 10000)")
    p.add_argument("--outage", type=float, metavar="SECONDS", help="wall seconds that stand for 12 h (default 24)")
    p.add_argument("--buffer", type=int, default=1000, metavar="N", help="updates a worker holds in memory (default 1000)")
    p.add_argument("--no-restarts", dest="restarts", action="store_false", help="no worker is replaced during the outage")
    p.add_argument("--max-stale", type=float, default=2.0, metavar="SECONDS", help="age that readers accept (default 2)")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--workers", type=int, default=20)
    p.add_argument("--state", required=True, help=argparse.SUPPRESS)
    p.add_argument("--bin", required=True, help=argparse.SUPPRESS)
    p.add_argument("--page", required=True, help=argparse.SUPPRESS)
    return p.parse_args()


def chosen(options):
    """Names of the brokers to compare with; complains about those that are asked for and not there."""
    if options.check:
        return ["plain"]
    if options.against == "none":
        return []
    if options.against in (None, "all"):
        names = list(BROKERS)
        if options.against is None and not options.install:
            return [n for n in names if installed(n)]
    else:
        names = options.against.split(",")
    unknown = [n for n in names if n not in BROKERS]
    if unknown:
        sys.exit(f"no broker {unknown[0]} here; known: {' '.join(BROKERS)}, all, none")
    missing = [n for n in names if not installed(n)]
    if missing and options.install:
        install([one.SYSTEMS[n].package for n in missing])
    elif missing:
        packages = " ".join(one.SYSTEMS[n].package for n in missing)
        sys.exit(f"not installed: {packages}; add --install, or: apt-get install {packages}")
    return names


def install(packages):
    """Packages of brokers start system services, on their well-known ports and for good; these must not."""
    print("installing:", *packages, flush=True)
    running = {p: subprocess.run(["systemctl", "is-active", "-q", p], stderr=subprocess.DEVNULL).returncode == 0
               for p in packages} if shutil.which("systemctl") else {}
    command = ([] if os.geteuid() == 0 else ["sudo"]) + ["env", "DEBIAN_FRONTEND=noninteractive"]
    apt = command + ["apt-get", "-o", "DPkg::Lock::Timeout=120"]
    for step in (apt + ["update", "-qq"], apt + ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        if subprocess.run(step, stdout=subprocess.DEVNULL).returncode != 0:
            sys.exit("installation failed: " + " ".join(step))
    for package, was_running in running.items():
        if not was_running:
            subprocess.run(command[:-2] + ["systemctl", "disable", "--now", "-q", package], stderr=subprocess.DEVNULL)


class Child:
    """One system's replay in a process of its own."""

    def __init__(self, name, options):
        self.name, self.where = name, f"{options.state}/{name}"
        shutil.rmtree(self.where, ignore_errors=True)
        os.makedirs(self.where)
        self.errors = open(f"{self.where}/harness.log", "wb")
        self.process = subprocess.Popen(
            [sys.executable, f"{HERE}/one.py", name, self.where, json.dumps(vars(options))], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.errors, text=True, start_new_session=True) # one signal, from us
        self.ready = None

    def result(self):
        try:
            with open(f"{self.where}/result.json", encoding="utf-8") as f:
                return json.load(f)
        except (OSError, ValueError):
            return {"name": self.name, "title": one.SYSTEMS[self.name].title, "settings": [],
                    "error": f"the harness ended; see {self.where}/harness.log"}


def replay(names, options):
    children = [Child(n, options) for n in names]
    try:
        for child in children:
            child.ready = child.process.stdout.readline().strip() == "ready"
        t0 = time.time() + 0.3
        for child in children:
            if child.ready:
                child.process.stdin.write(f"go {t0}\n")
                child.process.stdin.flush()
        for child in children:
            child.process.wait()
    finally:
        for child in children:
            child.process.stdin.close()
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGINT)
                child.process.wait()
            child.errors.close()
    return [child.result() for child in children]


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    options = arguments()
    options.top = os.path.dirname(os.path.dirname(HERE))
    options.outage = options.outage or (5.0 if options.check else 24.0)
    options.lead, options.settle, options.poll = (2.0, 10.0, 0.2) if options.check else (4.0, 8.0, 0.2)
    brokers = chosen(options)
    os.makedirs(options.state, exist_ok=True)
    if options.backlog:
        import backlog
        sys.exit(backlog.run(brokers, int(options.backlog), options))
    plan = make_plan(options.seed, options.lead, options.outage, options.settle, options.workers, options.buffer,
                     options.restarts, options.max_stale, options.poll)
    names = brokers + ["tidings", "tidings-cut"]
    print(f"{len(plan.updates)} updates to {len({u.job for u in plan.updates})} jobs by {options.workers} workers in 3 regions; "
          f"outage {options.outage:g} s stands for 12 h; seed {options.seed}\nagainst: {', '.join(names)}", flush=True)
    results = replay(names, options)
    print(verdict.table(results, plan))
    path = options.page
    page.write(path, results, plan, options)
    print(f"page: {os.path.relpath(path)}")
    problems = verdict.problems(results, plan, options.check)
    for problem in problems:
        print("FAIL ", problem)
    print("verdict:", "FAIL" if problems else "PASS: tidings lost nothing it had confirmed and claimed nothing false")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
