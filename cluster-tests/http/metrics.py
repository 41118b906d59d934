"""metrics.py -- /metrics of three nodes as promtool reads it and as a real Prometheus scrapes it; every
name of the interface is there, with every label value from the start; the numbers are the query's."""
import json
import os
import re
import subprocess
import urllib.parse
import urllib.request

from common import CLUSTER, PORTS, REGIONS, ask, check, cli, fault, finish, wait_for

PROMETHEUS = "127.0.0.1:19099"
STATES = "pending starting running stopping lost completed failed stopped".split()
# Name -> the values its one label must have on eu-west; None = no label, "regions" all, "peers" all others.
NAMES = {
    "build_info": "any", "jobs": STATES, "jobs_silent": None,
    "region_fresh_as_of_timestamp_seconds": "regions", "region_missing_updates": "regions",
    "peer_up": "peers", "peer_last_heard_timestamp_seconds": "peers", "peer_rtt_seconds": "peers",
    "peer_clock_offset_seconds": "peers", "peer_unacked_updates": "peers", "peer_unacked_jobs": "peers",
    "peer_backlog_eta_seconds": "peers", "canary_probes_total": "any",
    "peer_oldest_unacked_timestamp_seconds": "peers", "peer_last_digest_match_timestamp_seconds": "peers",
    "log_bytes": None, "log_limit_bytes": None, "log_damaged_records": None, "log_missing_segments": None,
    "roster_version": None,
    "roster_members": ["active", "closing", "closed"], "watchers": None,
    "config_last_reload_successful": None, "config_last_reload_success_timestamp_seconds": None,
    "updates_published_total": None, "updates_applied_total": "regions", "updates_superseded_total": "regions",
    "updates_duplicate_total": "peers",
    "updates_rejected_total": "signature closed bounds rank final partial attempt quota busy disk other".split(),
    "updates_lost_total": "regions", "conflicts_total": ["finality", "stamp", "origin", "hash"],
    "peer_sent_bytes_total": "peers", "peer_received_bytes_total": "peers", "peer_reconnects_total": "peers",
    "repaired_updates_total": "peers", "watch_dropped_total": None,
    "log_messages_total": ["debug", "info", "warn", "error"],
    "replication_latency_seconds_count": "peers", "publish_duration_seconds_count": None,
    "log_flush_duration_seconds_count": None, "http_request_duration_seconds_count": "any",
    "freshness_stale_seconds": None, "clone_suspected": "regions", "equivocations_total": "regions",
    "roster_fork": None, "fenced": "regions",
}
SAMPLE = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$')


def samples(text):
    """name -> {label values: number}"""
    found = {}
    for line in text.splitlines():
        if line and line[0] != "#":
            name, labels, value = SAMPLE.match(line).groups()
            found.setdefault(name, {})[tuple(re.findall(r'="((?:[^"\\]|\\.)*)"', labels or ""))] = float(value)
    return found


def scrape(region):
    status, headers, body = ask("/metrics", region=region)
    check(status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4"), "metrics: %d" % status)
    return body.decode()


def test_promtool_finds_nothing():
    for region in REGIONS:
        done = subprocess.run(["promtool", "check", "metrics"], input=scrape(region).encode(), capture_output=True)
        check(done.returncode == 0 and not done.stdout + done.stderr, "promtool, %s: %s" % (region, done.stdout + done.stderr))


def test_every_name_and_label_value_is_there():
    found = samples(scrape("eu-west"))
    for name, labels in NAMES.items():
        got = found.get("tidings_" + name)
        if not check(got is not None, "no metric tidings_" + name) or labels == "any":
            continue
        want = {None: [()], "regions": [(r,) for r in REGIONS], "peers": [(r,) for r in REGIONS[1:]]}.get(
            labels if labels is None or isinstance(labels, str) else "", labels and [(v,) for v in labels])
        check(sorted(got) == sorted(want), "%s has %s, not %s" % (name, sorted(got), sorted(want)))
    for name in ("cpu_seconds_total", "open_fds", "resident_memory_bytes", "start_time_seconds"):
        check(found.get("process_" + name, {}).get((), -1) >= 0, "process_" + name)
    check(sum(len(v) for v in found.values()) < 3000, "more series than closed lists give")


def test_every_status_of_a_route_is_there_from_the_start():
    found = samples(scrape("ap-south"))["tidings_http_request_duration_seconds_count"]
    for pair in [("/v1/job", "507"), ("/v1/watch", "410"), ("/v1/jobs", "504"), ("/livez", "200"), ("none", "404")]:
        check(found.get(pair) == 0, "%s is %s before anything was asked" % (pair, found.get(pair)))
    check(("/livez", "401") not in found and ("/v1/jobs", "409") not in found, "statuses that cannot be")


def test_the_query_shows_the_same_numbers():
    cli("eu-west", "publish", "m/1", "running", "--expect-every", "1s")
    cli("eu-west", "publish", "m/2", "completed", "--ack", "all")
    wait_for("one silent job", lambda: samples(scrape("eu-west"))["tidings_jobs_silent"][()] >= 1, 30)
    shown = json.loads(cli("eu-west", "regions", "--json"))["local"]
    found = samples(scrape("eu-west"))
    for state in STATES:
        check(found["tidings_jobs"][(state,)] == shown["counters"]["jobs_" + state], "jobs " + state)
    check(found["tidings_updates_published_total"][()] == shown["counters"]["published"], "published")
    check(found["tidings_registers"][()] == shown["registers"], "registers")
    check(found["tidings_publish_duration_seconds_count"][()] >= 2, "publishes are timed")
    check(found["tidings_log_flush_duration_seconds_count"][()] >= 2, "flushes are timed")
    there = samples(scrape("us-east"))
    check(there["tidings_updates_applied_total"][("eu-west",)] >= 2, "applied at us-east")
    check(there["tidings_replication_latency_seconds_count"][("eu-west",)] >= 2, "latency at us-east")


RESULTS = ("direct", "relayed", "timed_out")


def canaries(peer):
    found = samples(scrape("eu-west"))["tidings_canary_probes_total"]
    return [found[(peer, result)] for result in RESULTS]


def test_canaries_are_counted_by_peer_and_result():
    found = samples(scrape("eu-west"))["tidings_canary_probes_total"]
    check(sorted(found) == sorted((peer, result) for peer in REGIONS[1:] for result in RESULTS),
          "canary_probes_total has %s" % sorted(found))
    before = canaries("us-east")
    cli("eu-west", "doctor")
    wait_for("the canary of doctor is counted", lambda: canaries("us-east")[0] == before[0] + 1, 10)
    check(canaries("us-east")[1:] == before[1:], "a direct one counted as %s" % canaries("us-east"))


def peers(region):
    shown = json.loads(cli(region, "peers", "--json"))
    return shown["now"], [p for p in shown["peers"] if p["state"] != "self"]


def test_the_backlog_is_the_same_everywhere():
    # Without a link the peer's newest head counts: one that has everything so far.
    begun = peers("eu-west")[0]
    wait_for("heads of both", lambda: all(p["last_heard"] > begun for p in peers("eu-west")[1]), 10)
    for region in REGIONS[1:]:
        cli("eu-west", "fault", "cut", region)
        cli(region, "fault", "cut", "eu-west")
    for number in range(12):
        cli("eu-west", "publish", "back/%d" % (number % 3), "running", "--progress", str(number))
    wait_for("both links are down", lambda: sum(samples(scrape("eu-west"))["tidings_peer_up"].values()) == 0, 30)
    lack = [p["they_lack"] for p in peers("eu-west")[1] if p["region"] == "us-east"][0]
    found = samples(scrape("eu-west"))
    check(lack["updates"] == 12 and lack["jobs"] == 3, "peers says %s" % lack)
    check(found["tidings_peer_unacked_updates"][("us-east",)] == 12, "metric of updates")
    check(found["tidings_peer_unacked_jobs"][("us-east",)] == 3, "metric of jobs")
    eta = found["tidings_peer_backlog_eta_seconds"][("us-east",)]
    check(lack["eta_seconds"] is None and eta != eta, "time left while nothing drains: %s, %s" % (lack, eta))
    rows = json.loads(cli("eu-west", "check", "backlog", "--format", "json", "--warn", "1h", "--crit", "2h"))["checks"]
    row = [r for r in rows if r["region"] == "us-east"][0]
    check(row["they_lack"] == lack, "check backlog says %s, peers %s" % (row, lack))
    table = cli("eu-west", "peers").decode()
    check("12 (3 jobs)" in table and "3 jobs wait for" in table, "peers prints\n%s" % table)
    for region in REGIONS[1:]:
        cli("eu-west", "fault", "heal", region)
        cli(region, "fault", "heal", "eu-west")
    wait_for("nothing waits any more", lambda: sum(samples(scrape("eu-west"))["tidings_peer_unacked_jobs"].values()) == 0, 60)


def test_what_is_not_known_is_no_number():
    fault("cut", "us-east")
    wait_for("a link is down", lambda: samples(scrape("eu-west"))["tidings_peer_up"][("us-east",)] == 0, 30)
    found = samples(scrape("eu-west"))
    rtt = found["tidings_peer_rtt_seconds"][("us-east",)]
    check(rtt != rtt, "a round trip over a link that is down: %s" % rtt)
    fault("heal", "us-east")
    wait_for("it is up again", lambda: samples(scrape("eu-west"))["tidings_peer_up"][("us-east",)] == 1, 60)


def query(text):
    with urllib.request.urlopen("http://%s/api/v1/query?%s" % (PROMETHEUS, urllib.parse.urlencode({"query": text}))) as answer:
        return json.load(answer)["data"]["result"]


def test_a_real_prometheus_scrapes_three_nodes():
    config = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "scrape_configs": [
        {"job_name": "open", "static_configs": [{"targets": ["127.0.0.1:%d" % PORTS[r] for r in ("eu-west", "ap-south")]}]},
        {"job_name": "token", "authorization": {"credentials": "TOKEN-R"},
         "static_configs": [{"targets": ["127.0.0.1:%d" % PORTS["us-east"]]}]}]}
    path = CLUSTER + "/prometheus"
    os.makedirs(path)
    with open(path + "/config.yml", "w") as file:
        json.dump(config, file)  # JSON is YAML
    with open(path + "/log", "w") as log:
        server = subprocess.Popen(["prometheus", "--config.file=" + path + "/config.yml", "--storage.tsdb.path=" + path + "/data",
                                   "--web.listen-address=" + PROMETHEUS, "--log.level=warn"], stdout=log, stderr=log)
    try:
        def scraped():
            try:
                return sorted(float(r["value"][1]) for r in query("up")) == [1, 1, 1]
            except OSError:
                return False
        wait_for("three nodes are scraped", scraped, 60)
        wait_for("six links are up", lambda: query("sum(tidings_peer_up)")[0]["value"][1] == "6", 30)
        for name in NAMES:
            check(query("count(tidings_%s)" % name), "Prometheus has no tidings_" + name)
    finally:
        server.terminate()
        server.wait()


for name, test in list(globals().items()):
    if name.startswith("test_"):
        print(name)
        test()
finish()
