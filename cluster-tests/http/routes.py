"""routes.py -- each route and each status it can give; the bytes of the command line; the watch."""
import json
import re
import socket
import subprocess
import urllib.parse

from common import BIN, CLUSTER, PORTS, REGIONS, ask, check, cli, expect, fault, finish, put, wait_for

MOMENT = re.compile(rb'"[0-9-]+T[0-9:.]+Z(\+[0-9]+)?"|"td[tc]1:[A-Za-z0-9_-]+"|"[01]{16}"')
NUMBER = re.compile(rb'-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?')
COUNTERS = re.compile(rb'"counters":\{[^}]*\}')


def still(body):
    """What two answers of different moments share: everything but times, tokens and measurements."""
    return NUMBER.sub(b"0", MOMENT.sub(b'"T"', body))


def same(path, *arguments, code=0, status=200):
    for _ in range(10):  # two moments may differ in more: which region is the oldest, what is missing
        got, _, body = ask(path)
        printed = cli("eu-west", *arguments, code=code)
        if still(body) == still(printed):
            break
    check(got == status, "%s: %d: %r" % (path, got, body[:200]))
    check(still(body) == still(printed), "%s differs from tidings %s:\n%r\n%r" % (
        path, " ".join(arguments), body[:600], printed[:600]))
    names = re.compile(rb'"([a-z_]+)":')
    check(names.findall(body) == names.findall(printed), path + ": other members")


def test_the_bytes_of_the_command_line():
    cli("eu-west", "publish", "r/1", "running", "--progress", "40", "--detail", "<b>\u202e\x1b[31m\n", "--label", "k=v")
    cli("us-east", "publish", "r/1", "completed", "--after", json.loads(cli("eu-west", "get", "r/1", "--json"))["token"])
    cli("eu-west", "publish", "r/2", "pending", "--attempt", "3")
    wait_for("r/1 completed", lambda: b"completed" in cli("eu-west", "get", "r/1", "--json"))
    same("/v1/job?id=r/1", "get", "r/1", "--json")
    same("/v1/job?id=r%2F1", "get", "r/1", "--json")
    same("/v1/job?id=r/2&all_attempts=1", "get", "r/2", "--all-attempts", "--json")
    same("/v1/job?id=r/2&attempt=3", "get", "r/2", "--attempt", "3", "--json")
    same("/v1/explain?id=r/1", "explain", "r/1", "--json")
    same("/v1/history?id=r/2", "history", "r/2", "--json")
    same("/v1/jobs?prefix=r/", "list", "--prefix", "r/", "--json")
    same("/v1/jobs?state=completed,failed&origin=us-east&since=1h", "list", "--state", "completed,failed",
         "--origin", "us-east", "--since", "1h", "--json")
    same("/v1/conflicts", "conflicts", "--json")
    same("/v1/peers", "peers", "--json")
    same("/v1/mesh", "mesh", "--json")
    same("/v1/regions", "regions", "--json")
    same("/v1/roster", "roster", "show", "--json")
    same("/v1/job?id=nobody", "get", "nobody", "--json", code=3, status=404)
    same("/v1/job?id=r/1&attempt=9", "get", "r/1", "--attempt", "9", "--json", code=3, status=404)
    got, _, body = put("/v1/job?id=r/4", {"state": "running", "progress": 0.5, "writer": "w"})
    printed = cli("eu-west", "publish", "r/5", "running", "--progress", "50", "--writer", "w")
    check(got == 200 and still(body.replace(b"r/4", b"r/5")) == still(printed), "publish: %r %r" % (body, printed))


def test_every_answer_has_envelope_and_freshness():
    for path in ("/v1/job?id=r/1", "/v1/jobs", "/v1/explain?id=r/1", "/v1/history?id=r/1", "/v1/peers",
                 "/v1/mesh", "/v1/regions", "/v1/conflicts"):
        answer = json.loads(ask(path)[2])
        for member in ("schema", "node", "now", "token", "freshness"):
            check(member in answer, "%s has no %s" % (path, member))
    status, headers, body = ask("/v1/job?id=r/1", "HEAD")
    check(status == 200 and body == b"" and int(headers["Content-Length"]) > 100, "HEAD")


def test_pages_of_jobs():
    for i in range(25):
        cli("eu-west", "publish", "page/%d" % i, "running")
    seen, cursor = [], ""
    while cursor is not None:
        page = json.loads(ask("/v1/jobs?prefix=page/&limit=10" + ("&cursor=" + cursor if cursor else ""))[2])
        check(len(page["jobs"]) <= 10, "a page over its limit")
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next_cursor"]
    check(sorted(seen) == sorted("page/%d" % i for i in range(25)), "pages: %s" % seen)


def statuses(region):
    """(route, code) of every request that its metrics count, also at zero."""
    text = ask("/metrics", region=region)[2].decode()
    return set(re.findall(r'^tidings_http_request_duration_seconds_count{route="([^"]*)",code="(\d+)"}', text, re.M))


def test_what_is_refused():
    expect(404, "TD-E0131", "/nothing")
    expect(404, "TD-E0131", "/v1/job/")
    expect(404, "TD-E0131", "/errors/TD-E9999")
    expect(400, "TD-E0102", "/v1/job")
    expect(400, "TD-E0102", "/v1/job?id=")
    expect(400, "TD-E0102", "/v1/job?id=a%1bb")
    expect(400, "TD-E0102", "/v1/job?id=" + "x" * 201)
    expect(400, "TD-E0130", "/v1/job?id=a%00b")
    expect(400, "TD-E0130", "/v1/job?id=a&id=b")
    expect(400, "TD-E0108", "/v1/job?id=a&attempt=65536")
    expect(400, "TD-E0110", "/v1/job?id=a&after=tdt1:x")
    expect(400, "TD-E0130", "/v1/job?id=a&max_stale=30")
    expect(400, "TD-E0130", "/v1/job?id=a&wait=1h")
    expect(400, "TD-E0130", "/v1/jobs?limit=0")
    expect(400, "TD-E0130", "/v1/jobs?limit=1001")
    expect(400, "TD-E0130", "/v1/jobs?origin=nowhere")
    expect(400, "TD-E0130", "/v1/jobs?since=yesterday")
    expect(400, "TD-E0130", "/v1/jobs?silent=maybe")
    expect(400, "TD-E0103", "/v1/jobs?state=running,dead")
    problem = expect(400, "TD-E0130", "/v1/jobs?prefx=a")
    check("did you mean prefix" in problem.get("detail", ""), "no nearest parameter: %s" % problem)
    expect(400, "TD-E0130", "/v1/watch?from=tomorrow")
    expect(400, "TD-E0110", "/v1/watch?cursor=tdc1:x")
    expect(405, "TD-E0132", "/v1/job?id=a", method="DELETE")
    expect(405, "TD-E0132", "/v1/jobs", method="PUT", body="{}", headers={"Content-Type": "application/json"})
    expect(405, "TD-E0132", "/v1/job?id=a", method="POST", body="{}")
    expect(413, "TD-E0121", "/v1/jobs", body="x")
    expect(403, "TD-E0208", "/v1/jobs", headers={"Host": "evil.example:7718"})
    expect(403, "TD-E0208", "/v1/jobs", headers={"Host": "127.0.0.1.evil.example"})
    check(ask("/v1/jobs", headers={"Host": "localhost"})[0] == 200, "Host: localhost")
    check(ask("/v1/jobs", headers={"Host": "[::1]:80"})[0] == 200, "Host: [::1]:80")


def test_refused_reports():
    json_type = {"Content-Type": "application/json"}
    expect(400, "TD-E0112", "/v1/job?id=w/1", method="PUT", body="{", headers=json_type)
    expect(400, "TD-E0103", "/v1/job?id=w/1", report={"state": "dead"})
    expect(400, "TD-E0103", "/v1/job?id=w/1", report={})
    expect(400, "TD-E0104", "/v1/job?id=w/1", report={"state": "running", "progress": 40})
    expect(400, "TD-E0105", "/v1/job?id=w/1", report={"state": "running", "detail": "x" * 513})
    expect(400, "TD-E0112", "/v1/job?id=w/1", report={"state": "running", "colour": 1})
    expect(400, "TD-E0102", "/v1/job?id=w/1", report={"state": "running", "job": "w/2"})
    expect(400, "TD-E0130", "/v1/job?id=w/1&ack=many", report={"state": "running"})
    expect(415, "TD-E0133", "/v1/job?id=w/1", method="PUT", body="{}")
    expect(415, "TD-E0133", "/v1/job?id=w/1", method="PUT", body="{}", headers={"Content-Type": "application/jsonx"})
    expect(413, "TD-E0121", "/v1/job?id=w/1", method="PUT", body="x" * 20000, headers=json_type)
    check(put("/v1/job?id=w/1", {"state": "completed"})[0] == 200, "publish")
    check(json.loads(put("/v1/job?id=w/1", {"state": "completed"})[2])["noop"], "the same again is a noop")
    problem = expect(409, "TD-E0302", "/v1/job?id=w/1", report={"state": "failed"})
    check(problem["job"]["state"] == "completed" and problem["freshness"], "409 without the status: %s" % problem)
    problem = expect(409, "TD-E0301", "/v1/job?id=w/1", report={"state": "running"})
    check(problem["job"]["id"] == "w/1", "409 without the status")
    check(put("/v1/job?id=w/1", {"state": "failed", "correct": True})[0] == 200, "a correction")


def raw(text, region="eu-west"):
    """The first line of the answer to these very bytes, and whether the connection then ends."""
    with socket.create_connection(("127.0.0.1", PORTS[region]), timeout=20) as connection:
        connection.sendall(text)
        answer = b""
        while True:
            block = connection.recv(65536)
            if not block:
                return answer.split(b"\r\n")[0], answer
            answer += block


def test_framing_that_could_be_read_in_two_ways():
    head = b"PUT /v1/job?id=x HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    inner = b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for what, text, status in (
            ("chunked", head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"411"),
            ("chunked and length", head + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + inner, b"411"),
            ("two lengths", head + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n{}x" + inner, b"400"),
            ("no length", head + b"\r\n" + inner, b"411"),
            ("bad length", head + b"Content-Length: -1\r\n\r\n" + inner, b"400"),
            ("two hosts", b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", b"400"),
            ("no host", b"GET /v1/jobs HTTP/1.1\r\n\r\n", b"400"),
            ("long head", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40000 + b"\r\n\r\n", b"431"),
            ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"400")):
        first, answer = raw(text)
        check(status in first or (what in ("garbage", "bad length", "long head") and not answer) or
              (what == "long head" and b"41" in first), "%s: %r" % (what, first))
        # libmicrohttpd writes the head of its own refusals twice; what may not be there is another answer.
        statuses = set(re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", answer))
        check(len(statuses) <= 1 and b"tidings." not in answer, "%s: the body was taken for a request" % what)


def test_tokens():
    none = {"Authorization": ""}
    read = {"Authorization": "Bearer TOKEN-R"}
    expect(401, "TD-E0207", "/v1/jobs", region="us-east", headers=none)
    expect(401, "TD-E0207", "/metrics", region="us-east", headers={"Authorization": "Bearer wrong"})
    expect(401, "TD-E0207", "/", region="us-east", headers=none)
    check(ask("/livez", region="us-east", headers=none)[0] == 200, "livez needs no token")
    check(ask("/v1/jobs", region="us-east", headers=read)[0] == 200, "a token that reads")
    expect(403, "TD-E0206", "/v1/job?id=acme/1", region="us-east", report={"state": "running"}, headers=read)
    check(put("/v1/job?id=acme/1", {"state": "running"}, "us-east")[0] == 200, "a token that publishes")
    expect(403, "TD-E0206", "/v1/job?id=other/1", region="us-east", report={"state": "running"})


def test_the_rate_has_a_limit():
    def refused():
        answers = [put("/v1/job?id=rate/%d" % i, {"state": "running"}, "ap-south") for i in range(8)]
        return [a for a in answers if a[0] == 429]
    answers = wait_for("429 over the rate", refused, 60)
    check(answers and json.loads(answers[0][2])["code"] == "TD-E0403" and answers[0][1]["Retry-After"], "429: %s" % answers)


def test_about_itself():
    check(ask("/livez")[2] == b"ok\n", "livez")
    status, _, body = ask("/readyz?verbose")
    check(status == 200 and b"[ok] log\n" in body and body.endswith(b"ok\n"), "readyz: %r" % body)
    status, headers, body = ask("/")
    policy = headers["Content-Security-Policy"]
    check(status == 200 and b"us-east" in body and "default-src 'none'" in policy and "unsafe" not in policy,
          "page: %s" % policy)
    check(headers["Access-Control-Allow-Origin"] is None, "no origin but our own")
    api = json.loads(ask("/openapi.json")[2])
    served = ["/v1/job", "/v1/jobs", "/v1/explain", "/v1/history", "/v1/watch", "/v1/peers", "/v1/mesh",
              "/v1/regions", "/v1/conflicts", "/v1/roster", "/livez", "/readyz", "/metrics", "/",
              "/openapi.json", "/errors/{code}"]
    check(sorted(api["paths"]) == sorted(served), "openapi: %s" % sorted(api["paths"]))
    for path, methods in api["paths"].items():
        for code in {code for m in methods.values() for code in m["responses"]} - {"default"}:
            check((path.replace("/{code}", ""), code) in named["us-east"], "%s: openapi has %s" % (path, code))
        given = {p["name"] for m in methods.values() for p in m.get("parameters", []) if p["in"] == "query"}
        for name in given:
            status, _, body = ask(path + "?" + name + "=%00")
            check(b"no parameter" not in body, "%s: openapi names %s, the route refuses it" % (path, name))
    for line in cli("eu-west", "errors", "-o", "plain").decode().splitlines():
        code = line.split("\t")[0]
        check(ask("/errors/" + code)[0] == 200, "no /errors/" + code)


class Stream:
    """A reader of /v1/watch: events as (name, id, data)."""

    def __init__(self, query="", headers=""):
        self.socket = socket.create_connection(("127.0.0.1", PORTS["eu-west"]), timeout=30)
        self.socket.sendall(("GET /v1/watch%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (query, headers)).encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while True:
            line = self.file.readline().strip()
            if not line:
                break
            name, _, value = line.decode().partition(": ")
            self.headers[name] = value
        self.text = b""

    def next(self):
        while b"\n\n" not in self.text:
            count = int(self.file.readline(), 16)
            self.text += self.file.read(count)
            self.file.readline()
        event, _, self.text = self.text.partition(b"\n\n")
        fields = dict(line.decode().split(": ", 1) for line in event.split(b"\n") if not line.startswith(b":"))
        return fields.get("event"), fields.get("id"), json.loads(fields["data"]) if "data" in fields else None

    def until(self, name, job=None):
        while True:
            event = self.next()
            if event[0] == name and (job is None or event[2]["job"] == job):
                return event

    def close(self):
        self.file.close()
        self.socket.close()


def test_the_watch():
    stream = Stream("?prefix=sse/")
    check(stream.status == 200 and stream.headers["Content-Type"].startswith("text/event-stream"), "watch: %s" % stream.headers)
    _, first, _ = stream.until("bookmark")
    check(first.startswith("tdc1:"), "a bookmark comes at once")
    cli("eu-west", "publish", "sse/1", "running")
    cli("us-east", "publish", "sse/2", "running")
    _, after_1, change = stream.until("update", "sse/1")
    check(change["schema"] == "tidings.change/1" and change["cursor"] == after_1, "an update: %s" % change)
    stream.until("update", "sse/2")
    fresh = stream.until("freshness")[2]
    check(fresh["freshness"]["regions"], "freshness")
    stream.close()
    again = Stream("?prefix=sse/", "Last-Event-ID: %s\r\n" % after_1)
    check(again.until("update")[2]["job"] == "sse/2", "resumed behind what was seen")
    again.close()
    all_of_it = Stream("?from=start&job=sse/1")
    check(all_of_it.until("update")[2]["job"] == "sse/1", "from=start")
    all_of_it.close()


def test_a_cursor_of_another_life():
    line = cli("us-east", "watch", "--from", "start", "--limit", "1", "-o", "jsonl")
    foreign = json.loads(line)["cursor"]
    problem = expect(410, "TD-E0310", "/v1/watch?cursor=" + urllib.parse.quote(foreign))
    check(problem.get("start_again") == "/v1/watch?from=start", "where to begin again: %s" % problem)
    browser = Stream("", "Last-Event-ID: %s\r\n" % foreign)
    check(browser.status == 200 and browser.next()[0] == "reset", "a browser is told by a reset")
    browser.close()


def test_watchers_are_counted():
    streams = []
    while len(streams) < 40:
        stream = Stream()
        streams.append(stream)
        if stream.status != 200:
            break
    check(stream.status == 503 and 10 <= len(streams) <= 17, "%d watchers, then %d" % (len(streams), stream.status))
    check(ask("/livez")[0] == 200, "others are served beside the watchers")
    for stream in streams:
        stream.close()


def test_the_codes_of_a_cut():
    fault("cut", "us-east", "ap-south")
    token = json.loads(cli("us-east", "publish", "cut/1", "running"))["token"]
    cli("us-east", "publish", "cut/4", "completed")
    cli("eu-west", "publish", "cut/4", "failed")
    problem = expect(504, "TD-E0306", "/v1/job?id=cut/1&wait=300ms&after=" + token)
    check("freshness" in problem, "504 without freshness")
    problem = expect(504, "TD-E0309", "/v1/job?id=cut/2&ack=1&wait=3s", report={"state": "running"})
    check(problem.get("durable") and problem.get("acked_regions") == 0 and problem.get("token"), "ack: %s" % problem)
    expect(504, "TD-E0309", "/v1/job?id=cut/3&ack=all&wait=3s", report={"state": "running"})
    wait_for("stale", lambda: ask("/v1/job?id=r/1")[1]["Tidings-Stale"], 30)
    _, headers, body = ask("/v1/job?id=r/1")
    check("us-east;age=" in headers["Tidings-Stale"], "Tidings-Stale: %s" % headers["Tidings-Stale"])
    check(not json.loads(body)["freshness"]["certain"], "certain in a cut")
    shown = json.loads(cli("eu-west", "get", "r/1", "--json"))["freshness"]["regions"]
    check([r["stale"] for r in shown if r["region"] == "us-east" and r["age_seconds"] < 30] == [True],
          "the command line does not know the node's limit: %s" % shown)
    problem = expect(404, "TD-E0304", "/v1/job?id=cut/1")
    check(not problem["freshness"]["certain"] and "not certain" in problem["detail"], "404: %s" % problem)
    problem = expect(412, "TD-E0305", "/v1/job?id=r/1&max_stale=1s")
    check(problem["job"]["id"] == "r/1" and "asked for" in problem["detail"], "412: %s" % problem)
    expect(412, "TD-E0305", "/v1/job?id=cut/1&max_stale=1s")
    check(ask("/readyz")[0] == 200, "readiness depends on peers")
    fault("heal", "us-east", "ap-south")
    wait_for("fresh again", lambda: ask("/v1/job?id=cut/1")[0] == 200 and
             ask("/v1/job?id=cut/1")[1]["Tidings-Stale"] is None, 60)
    check(ask("/v1/job?id=cut/1&after=" + token)[0] == 200, "the token is reached after the cut")
    conflicts = json.loads(ask("/v1/conflicts?prefix=cut/4")[2])["conflicts"]
    check([c["kind"] for c in conflicts] == ["finals"], "conflicts: %s" % conflicts)
    same("/v1/conflicts", "conflicts", "--json")
    same("/v1/explain?id=cut/4", "explain", "cut/4", "--json")


def test_the_mesh_shows_a_cut_between_two_others():
    fault("cut", "us-east", region="ap-south")
    mesh = wait_for("the cut link", lambda: [m for m in [json.loads(ask("/v1/mesh")[2])["mesh"]] if m["cut_links"]], 60)[0]
    check([sorted(pair) for pair in mesh["cut_links"]] == [["ap-south", "us-east"]], "cut_links: %s" % mesh["cut_links"])
    ways = {(r["by"], h["region"]): (h["direct"], h["via"]) for r in mesh["reports"] for h in r["hears"]}
    check(ways[("us-east", "ap-south")] == (False, "eu-west") or ways[("ap-south", "us-east")] == (False, "eu-west"),
          "no way around: %s" % ways)
    check(ways[("eu-west", "us-east")] == (True, None), "own links: %s" % ways)
    check(b"No direct link between " in cli("eu-west", "mesh"), "the command line does not name the cut link")
    fault("heal", "us-east", region="ap-south")
    wait_for("no link is cut", lambda: not json.loads(ask("/v1/mesh")[2])["mesh"]["cut_links"], 60)


def test_a_full_log_is_507():
    lines = "".join(json.dumps({"job": "fill/%d" % i, "state": "completed", "detail": "x" * 500}) + "\n" for i in range(30000))
    done = subprocess.run([BIN + "/tidings", "-n", "ipc://%s/us-east/tidings.sock" % CLUSTER, "publish", "--from-jsonl", "-",
                           "--timeout", "3s"], input=lines.encode(), capture_output=True)
    check(b"TD-E0404" in done.stdout, "the log did not fill up: %r" % done.stdout[-200:])
    expect(507, "TD-E0404", "/v1/job?id=acme/full", region="us-east", report={"state": "running"})
    status, _, body = ask("/readyz", region="us-east")
    check(status == 503 and b"[FAIL] log" in body, "readyz with a full log: %r" % body)
    check(ask("/v1/job?id=r/1", region="us-east")[0] == 200, "reading with a full log")


def test_a_drained_node_says_so():
    cli("ap-south", "drain")
    expect(503, "TD-E0405", "/v1/job?id=late/1", region="ap-south", report={"state": "running"})
    status, _, body = ask("/readyz", region="ap-south")
    check(status == 503 and b"[FAIL] serving" in body, "readyz of a drained node: %r" % body)
    check(ask("/livez", region="ap-south")[0] == 200, "a drained node lives")
    check(ask("/v1/job?id=r/1", region="ap-south")[0] == 200, "a drained node reads")


def test_every_status_was_named_beforehand():
    for region in REGIONS:
        surprises = statuses(region) - named[region]
        check(not surprises, "%s gave statuses that its metrics did not name: %s" % (region, sorted(surprises)))


named = {region: statuses(region) for region in REGIONS}
for name, test in list(globals().items()):
    if name.startswith("test_"):
        print(name)
        test()
finish()
