"""common.py -- nodes, requests and checks shared by the tests of the HTTP gateway."""
import http.client
import json
import os
import signal
import subprocess
import sys
import time

BIN = os.environ["TIDINGS_BIN"]
CLUSTER = os.environ["TIDINGS_CLUSTER"]
REGIONS = ["eu-west", "us-east", "ap-south"]
PORTS = {r: int(os.environ["PORT_" + r.replace("-", "_")]) for r in REGIONS}
TOKEN = {"us-east": {"Authorization": "Bearer TOKEN-P"}}
failures = []


def check(good, what):
    if not good:
        failures.append(what)
        print("FAIL ", what)
    return good


def finish():
    print("%d failed" % len(failures))
    sys.exit(1 if failures else 0)


def cli(region, *arguments, code=0):
    """stdout of a command of the CLI; another exit code than `code` is a failure."""
    done = subprocess.run(
        [BIN + "/tidings", "-n", "ipc://%s/%s/tidings.sock" % (CLUSTER, region), *arguments],
        stdin=subprocess.DEVNULL, capture_output=True)
    check(done.returncode == code, "tidings %s: exit %d: %s" % (
        " ".join(arguments), done.returncode, done.stderr.decode()[:200]))
    return done.stdout


def ask(path, method="GET", region="eu-west", body=None, headers=None, timeout=30):
    """(status, headers, body) of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", PORTS[region], timeout=timeout)
    merged = dict(TOKEN.get(region, {}))
    merged.update(headers or {})
    connection.request(method, path, body=body, headers=merged)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def put(path, report, region="eu-west", **more):
    return ask(path, "PUT", region, json.dumps(report),
               {"Content-Type": "application/json", **more.pop("headers", {})}, **more)


def expect(status, code, path, **how):
    """A request's status, and the code in its problem. Returns the answer's JSON."""
    method = how.pop("method", "GET")
    got, headers, body = put(path, how.pop("report"), **how) if "report" in how else ask(path, method, **how)
    problem = {}
    if check(got == status, "%s %s: %d, not %d: %r" % (method, path, got, status, body[:200])) and code:
        check(headers["Content-Type"] == "application/problem+json", "%s: %s" % (path, headers["Content-Type"]))
        problem = json.loads(body)
        check(problem["code"] == code and problem["status"] == status and
              problem["type"] == "/errors/" + code, "%s: %s, not %s" % (path, problem, code))
        check(headers["X-Content-Type-Options"] == "nosniff", "%s: no nosniff" % path)
    if status in (429, 503, 507):
        check(headers["Retry-After"] is not None, "%s: no Retry-After" % path)
    return problem


def fault(verb, *others, region="eu-west"):
    """Cuts or heals the links of a region to others, both ways."""
    for other in others:
        cli(region, "fault", verb, other)
        cli(other, "fault", verb, region)


def pid(region):
    with open("%s/%s/pid" % (CLUSTER, region)) as file:
        return int(file.read())


def wait_for(what, condition, seconds=20):
    """Polls a condition; its first true value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    check(False, "timed out: " + what)
    return None


def stop_and_continue(region, stop):
    os.kill(pid(region), signal.SIGSTOP if stop else signal.SIGCONT)
