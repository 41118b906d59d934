"""alerts.py -- the alert rules and the dashboard: promtool accepts both, each alert has a test that fires and
one that stays quiet, and each metric that they name exists in a live /metrics."""
import json
import os
import re
import subprocess

from common import CLUSTER, REGIONS, ask, check, finish

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/prometheus")
METRIC = re.compile(r"\btidings_[a-z_]+\b")


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], cwd=PATH, capture_output=True)
    return check(done.returncode == 0, "promtool %s: %s" % (" ".join(arguments), (done.stdout + done.stderr).decode()))


def text_of(name):
    with open(os.path.join(PATH, name)) as file:
        return file.read()


def live_names():
    return {line.split()[2] for r in REGIONS for line in ask("/metrics", region=r)[2].decode().splitlines()
            if line.startswith("# TYPE ")}


def check_names(text, names, what):
    for name in set(METRIC.findall(text)):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        check(name in names or base in names, "%s names %s, which no node has" % (what, name))


def test_rules():
    rules, tests = text_of("tidings-alerts.yaml"), text_of("tidings-alerts_test.yaml")
    promtool("check", "rules", "tidings-alerts.yaml")
    promtool("test", "rules", "tidings-alerts_test.yaml")
    expressions = "\n".join(re.findall(r"expr: (?:>-\n)?((?:.|\n)*?)\n        (?:for|labels):", rules))
    check(len(METRIC.findall(expressions)) > 14, "no expressions found")
    check_names(expressions, live_names(), "a rule")
    for alert in re.findall(r"- alert: (\w+)", rules):
        parts = [part for part in tests.split("  - interval: ") if "alertname: %s\n" % alert in part]
        check(any("exp_labels" in part for part in parts), alert + " is never seen firing")
        check(any("exp_alerts: []" in part for part in parts), alert + " is never seen quiet")


def test_a_wrong_rule_is_noticed():
    wrong = text_of("tidings-alerts.yaml").replace("tidings_jobs_silent > 0", "tidings_jobs_silent > 9")
    path = CLUSTER + "/wrong"
    os.makedirs(path)
    with open(path + "/tidings-alerts.yaml", "w") as file:
        file.write(wrong)
    with open(path + "/test.yaml", "w") as file:
        file.write(text_of("tidings-alerts_test.yaml"))
    done = subprocess.run(["promtool", "test", "rules", "test.yaml"], cwd=path, capture_output=True)
    check(done.returncode != 0, "a rule that never fires passes its test")


def test_dashboard():
    board = json.loads(text_of("tidings-dashboard.json"))
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    check(len(expressions) >= len(board["panels"]) > 10, "panels without expressions")
    check(len({panel["id"] for panel in board["panels"]}) == len(board["panels"]), "panels share an id")
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in board["panels"]]
    check(len(set(places)) == len(places), "panels lie over each other")
    rules = {"groups": [{"name": "dashboard", "rules": [
        {"record": "dashboard:expr%d" % i, "expr": text} for i, text in enumerate(expressions)]}]}
    path = CLUSTER + "/dashboard-rules.yaml"
    with open(path, "w") as file:
        json.dump(rules, file)
    promtool("check", "rules", path)
    check_names("\n".join(expressions), live_names(), "the dashboard")


for name, test in list(globals().items()):
    if name.startswith("test_"):
        print(name)
        test()
finish()
