"""verdict.py -- what a run has to show, row by row: (name, good, what was seen)."""
import os
import re
import subprocess
import urllib.error
import urllib.request

from cluster import BIN, read_file

METRICS_SECONDS = 5


def judge(run):
    scenario, rows = run.scenario, []
    rows.append(history_row(run))
    rows.append(("every region complete, certain and equal", run.settled_after is not None,
                 f"{run.settled_after:.1f} s after the last fault" if run.settled_after is not None
                 else run.problems[-1]))
    rows.append(("every register read back at every region", run.failed_reads == 0,
                 f"{run.failed_reads} reads without an answer"))
    rows.append(false_certain_row(run))
    acked = sum(row[2] for row in run.history.acknowledged)
    least = scenario.expect.get("acknowledged", 1)
    rows.append((f"at least {least} updates acknowledged", acked >= least, str(acked)))
    rows += named_rows(run)
    if "refused" in scenario.expect:
        rows.append(refused_row(run))
    if "longest_gap" in scenario.expect:
        rows.append(gap_row(run))
    if "stale" in scenario.expect:
        rows.append(stale_row(run))
    for problem in run.problems:
        if run.settled_after is not None:
            rows.append(("nothing else went wrong", False, problem))
    return rows


def check_history(path):
    """(exit code, its words) of the checker shared with the simulator."""
    done = subprocess.run([os.path.join(BIN, "tidings-history"), path], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.strip()


def history_row(run):
    code, words = check_history(os.path.join(run.dir, "history"))
    wanted = run.scenario.expect.get("violation")
    if wanted:
        return (f"history checker: {wanted} is violated, as planted", code == 1 and f"{wanted} violated" in words,
                words)
    return "history: I1, I3, I4, I6, I7 hold, as clients saw it", code == 0, words


def false_certain_row(run):
    found = run.sampler.false_certain
    text = f"{len(found)} times" + (f", first at {found[0][0]:.1f} s: {found[0][1]} lacked {found[0][2]} jobs"
                                    if found else "")
    return "no region called itself complete while it lacked something", not found, text


def named_rows(run):
    rows = []
    for wanted in run.scenario.expect.get("named", []):
        node = run.cluster.node(wanted["node"])
        for where, what in wanted.items():
            if where != "node":
                good, seen = NAMED[where](run, node, what)
                rows.append((f"{node.name} names it, {where}: {what}", good, seen))
    return rows


def named_log(run, node, what):
    lines = [line for line in node.log_text(run.log_from[node.name]).splitlines() if re.search(what, line)]
    return bool(lines), lines[0][-160:] if lines else "not in the log"


def named_counter(run, node, what):
    answer = node.status()
    value = dict(answer.body[1]).get(what, 0) if answer else 0
    return value > 0, f"{what} = {value}"


def peers_text(node):
    done = subprocess.run([os.path.join(BIN, "tidings"), "-n", node.address(), "peers"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout


def named_peers(run, node, what):
    """While a fault was on, or in the end."""
    texts = [*run.peers_text.get(node.name, []), peers_text(node)]
    lines = [line for text in texts for line in text.splitlines() if re.search(what, line)]
    return bool(lines), lines[0] if lines else "not in tidings peers"


def named_note(run, node, what):
    times = [sample.seconds for sample in run.sampler.samples[node.name] if what in sample.notes]
    return bool(times), f"{times[0]:.1f} .. {times[-1]:.1f} s" if times else "never"


def named_metric(run, node, what):
    """Where the node serves metrics on loopback; a WAN's hosts have networks of their own."""
    port = re.search(r'http: "127\.0\.0\.1:(\d+)"', read_file(node.path("tidingsd.yaml")))
    if run.cluster.wan or not port:
        return False, "cannot be asked: it listens in another network"
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/metrics", timeout=METRICS_SECONDS) as answer:
            text = answer.read().decode()
    except (OSError, urllib.error.URLError) as error:
        return False, f"no answer from /metrics: {error}"
    lines = [line for line in text.splitlines() if re.search(what, line)]
    return bool(lines), lines[0] if lines else "no such line in /metrics"


NAMED = {"log": named_log, "counter": named_counter, "peers": named_peers, "note": named_note, "metric": named_metric}


def refused_row(run):
    wanted = run.scenario.expect["refused"]
    count = run.load.refusals().get(int(wanted.removeprefix("TD-E")), 0)
    return f"clients were refused with {wanted}", count > 0, f"{count} reports"


def gap_row(run):
    """The longest time without any acknowledged update, from the first to the last one."""
    limit = run.scenario.expect["longest_gap"]
    times = sorted(row[0] for row in run.history.acknowledged if row[0] < run.bands_end())
    gap = max((b - a for a, b in zip(times, times[1:])), default=float("inf"))
    return f"updates never stop for longer than {limit:g} s", gap <= limit, f"{gap:.2f} s"


def stale_row(run):
    region, least = run.scenario.expect["stale"]
    ages = [sample.ages.get(region) for name, samples in run.sampler.samples.items() if name != region
            for sample in samples]
    worst = max((age for age in ages if age is not None), default=0.0)
    unknown = any(age is None for age in ages)
    return (f"the others said that {region} was stale", worst >= least or unknown,
            f"up to {worst:.1f} s" + (", at times unknown" if unknown else ""))
