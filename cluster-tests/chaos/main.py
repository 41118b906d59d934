"""main.py -- scripts/chaos: the command line."""
import os
import random
import sys
import tempfile
import time

from cluster import TOP, ChaosError, Cluster, make_cluster, tidings
from faults import FAULTS, Active

SCENARIOS = os.path.join(TOP, "cluster-tests", "chaos", "scenarios")

USAGE = """scripts/chaos [--cluster DIR] [--seed N] FAULT ...   breaks something; FAULT is one of:
%s
scripts/chaos list                      what is broken now
scripts/chaos undo [NUMBER | FAULT]     undoes that, or everything, the newest first
scripts/chaos up DIR [--wan PRESET] [REGION ...]   a cluster to break (eu-west us-east ap-south)
scripts/chaos down DIR                  stops it
scripts/chaos run FILE ... [--html FILE] [--keep]   scenarios, each with a verdict and a page
scripts/chaos soak [--hours N | --minutes N | --kills N --pauses N --cuts N --clocks N] [--seed N] [--html FILE]
DIR is demo/ (scripts/demo) unless given. Scenarios: cluster-tests/chaos/scenarios; docs/CHAOS.md
"""


def usage():
    width = max(len(fault.usage) for fault in FAULTS.values() if len(fault.usage) < 30)
    return USAGE % "\n".join(f"  {fault.usage.ljust(width)}  {fault.text}" for fault in FAULTS.values())


class UsageError(ChaosError):
    pass


FAILURES = (ChaosError, OSError, tidings.Refused)


def take_options(words, known):
    """(other words, {name: value}); known: name -> type, None = a switch."""
    rest, options, words = [], {}, list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            rest.append(word)
            continue
        name, _, value = word[2:].partition("=")
        if name not in known:
            raise UsageError(f"unknown option --{name}")
        if known[name] is None:
            options[name] = True
            continue
        if not value and not words:
            raise UsageError(f"--{name} wants a value")
        try:
            options[name] = known[name](value or words.pop(0))
        except ValueError:
            raise UsageError(f"--{name} wants a number") from None
    return rest, options


def describe(row):
    return f"{row['id']:3}  {row['fault']} {' '.join(row['arguments'])}"


def cmd_list(cluster, _):
    rows = Active(cluster).rows
    for row in rows:
        print(f"{describe(row)}  for {time.time() - row['since']:.0f} s")
    if not rows:
        print("nothing is broken")


def cmd_undo(cluster, words):
    active = Active(cluster)
    rows = [row for row in active.rows if not words or words[0] in (str(row["id"]), row["fault"]) and
            row["arguments"][:len(words) - 1] == words[1:]]
    if words and not rows:
        raise ChaosError(f"{' '.join(words)} is not active; scripts/chaos list")
    for row in reversed(rows):
        active.undo(row)
        print(f"undone {describe(row).strip()}")


def cmd_fault(cluster, words, seed):
    if words[0] not in FAULTS:
        raise UsageError(f"no fault {words[0]}")
    rng = random.Random(seed if seed is not None else time.time_ns())
    row = Active(cluster).do(words[0], words[1:], rng)
    print(f"{describe(row).strip()}  (scripts/chaos undo {row['id']})" if row else
          f"done: {' '.join(words)}; the node repairs itself: tidings regions")


def cmd_up(words):
    rest, options = take_options(words, {"wan": str})
    if not rest or options.get("wan") and len(rest) > 1:
        raise UsageError("up DIR [REGION ...], or up DIR --wan PRESET, which names the regions")
    cluster = make_cluster(rest[0], rest[1:] or ("eu-west", "us-east", "ap-south"), options.get("wan"))
    if options.get("wan"):
        from run import keep_preset
        keep_preset(cluster, options["wan"])
    print(f"export TIDINGS_NODE={','.join(node.address() for node in cluster.nodes.values())}")


def cmd_run(words):
    from report import write_page
    from run import run_scenario
    from scenario import Scenario
    files, options = take_options(words, {"html": str, "keep": None})
    if not files:
        raise UsageError("run FILE ...")
    if options.get("html") and len(files) > 1:
        raise UsageError("--html names one page; run one scenario with it")
    scenarios = [Scenario(file if os.path.exists(file) else os.path.join(SCENARIOS, file + ".yaml"))
                 for file in files]
    failed = 0
    for scenario in scenarios:
        failed += not run_one(scenario, options, run_scenario, write_page)
    if len(scenarios) > 1:
        print(f"{len(scenarios) - failed} of {len(scenarios)} scenarios passed")
    return 1 if failed else 0


def run_one(scenario, options, run_scenario, write_page):
    directory = os.path.join(tempfile.gettempdir(), f"tidings-chaos-{os.getuid()}-{scenario.name}")
    begun = time.monotonic()
    print(f"== {scenario.name}, seed {scenario.seed}: {scenario.proves}".rstrip(": "), flush=True)
    try:
        run = run_scenario(scenario, directory, lambda text: print("   " + text, flush=True))
    except FAILURES as error:
        print(f"FAIL  {scenario.name}: {error} (state in {directory})", flush=True)
        return False
    good = all(row[1] for row in run.rows)
    for name, fine, seen in run.rows:
        print(f"{'ok  ' if fine else 'FAIL'}  {name}: {seen}")
    page = options.get("html", os.path.join(directory, "timeline.html"))
    write_page(run, good, page)
    print(f"verdict: {'PASS' if good else 'FAIL'} in {time.monotonic() - begun:.0f} s, page {page}", flush=True)
    return good


def command(words):
    words, options = take_leading(words)
    if not words or words[0] in ("help", "-h", "--help"):
        print(usage(), end="")
        return 0
    verb, rest = words[0], words[1:]
    if verb == "run":
        return cmd_run(rest)
    if verb == "soak":
        from soak import cmd_soak
        return cmd_soak(rest, take_options, UsageError)
    if verb == "up":
        return cmd_up(rest)
    if verb == "down":
        Cluster(rest[0] if rest else options["cluster"]).stop()
        return 0
    if verb not in FAULTS and verb not in ("list", "undo"):
        raise UsageError(f"no fault or command {verb}")
    cluster = Cluster(options["cluster"])
    if verb in FAULTS:
        return cmd_fault(cluster, words, options.get("seed"))
    return {"list": cmd_list, "undo": cmd_undo}[verb](cluster, rest)


def take_leading(words):
    """Options before the command: --cluster, --seed."""
    count = 0
    while count < len(words) and words[count].startswith("--") and words[count] != "--help":
        count += 1 if "=" in words[count] else 2
    _, options = take_options(words[:count], {"cluster": str, "seed": int})
    return words[count:], {"cluster": os.path.join(TOP, "demo"), **options}


if __name__ == "__main__":
    try:
        sys.exit(command(sys.argv[1:]) or 0)
    except UsageError as error:
        sys.exit(print(f"chaos: {error}; scripts/chaos help", file=sys.stderr) or 2)
    except FAILURES as error:
        sys.exit(print(f"chaos: {error}", file=sys.stderr) or 1)
    except KeyboardInterrupt:
        sys.exit(130)
