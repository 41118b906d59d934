"""latency.py -- the tables of `latency`.

usage: latency.py delays PRESET REGION=BENCH...   publish to visible, beside the path
       latency.py pairs PRESET far|all            which pairs are cut
       latency.py gaps PRESET EVENTS ARRIVALS     what failures cost
"""
import itertools
import json
import statistics
import sys

WINDOW_US = 4_000_000


def paths_of(preset):
    """Hosts in order, and the one-way delay of each pair in ms."""
    hosts, delays = [], {}
    with open(preset, encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if words[:1] == ["hosts"]:
                hosts = words[1:]
            elif words[:1] == ["set"]:
                rtt = next(float(word[4:-2]) for word in words if word.startswith("rtt="))
                delays[frozenset(words[1:3])] = rtt / 2
    return hosts, delays


def around(hosts, delays, a, b):
    """The shortest way from a to b by a third."""
    return min(delays[frozenset((a, via))] + delays[frozenset((via, b))]
               for via in hosts if via not in (a, b))


def delays_table(preset, benches):
    _, delays = paths_of(preset)
    print("%-12s %-12s %9s %9s %9s %9s %9s   (ms; publish to visible, over the one-way delay)" % (
        "from", "to", "one way", "p50 +", "p99 +", "ack p50", "ack p99"))
    over = {"p50_seconds": [], "p99_seconds": []}
    for bench in benches:
        source, path = bench.split("=", 1)
        with open(path, encoding="utf-8") as file:
            run = json.load(file)
        acks = [run["ack"][name] * 1000 for name in over]
        for node in run["nodes"]:
            if node["visible"] is None:
                continue
            one_way = delays[frozenset((source, node["region"]))]
            figures = [node["visible"][name] * 1000 - one_way for name in over]
            for name, figure in zip(over, figures):
                over[name].append(figure)
            print("%-12s %-12s %9.1f %9.1f %9.1f %9.1f %9.1f" % (
                source, node["region"], one_way, *figures, *acks))
    print("%-12s %-12s %9s %9.1f %9.1f   (median; aims 2 and 5)" % (
        "all", "", "", *(statistics.median(figures) for figures in over.values())))


def pairs(preset, which):
    hosts, delays = paths_of(preset)
    every = sorted(itertools.combinations(hosts, 2), key=lambda pair: -delays[frozenset(pair)])
    for pair in every if which == "all" else [every[0], every[-1]]:
        print(*pair)


def longest_gap_ms(arrivals, start, end):
    """Between two arrivals one after the other, the later one after `start`."""
    last, longest = None, 0
    for arrived in arrivals:
        if arrived > end:
            break
        if arrived >= start and last is not None:
            longest = max(longest, arrived - last)
        last = arrived
    if last is None or last < start:
        return float("inf")
    return max(longest, end - last) / 1000


def pair_row(hosts, delays, rows, event):
    begun, kind, a, b = event
    lines = []
    for source, at in [(a, b)] if kind == "one-way" else [(a, b), (b, a)]:
        path = around(hosts, delays, source, at)
        of_pair = [row for row in rows if row[1] == at and row[2] == source]
        arrivals = [row[0] for row in of_pair]
        before = longest_gap_ms(arrivals, begun - 2_000_000, begun)
        gap = longest_gap_ms(arrivals, begun, begun + WINDOW_US)
        late = max((row[0] - row[3] for row in of_pair
                    if begun - 1_000_000 < row[3] < begun + WINDOW_US - 2_000_000), default=0) / 1000
        lines.append("%-8s %-12s at %-12s %8.1f %9.1f %9.1f %9.1f" % (
            kind, source, at, path, before, gap, late - path))
    return lines


def survivor_rows(hosts, rows, event):
    begun, kind, gone, _ = event
    lines = []
    for at in hosts:
        if at == gone:
            continue
        arrivals = [row[0] for row in rows if row[1] == at and row[2] != gone]
        before = longest_gap_ms(arrivals, begun - 2_000_000, begun)
        gap = longest_gap_ms(arrivals, begun, begun + WINDOW_US)
        lines.append("%-8s %-12s at %-12s %9.1f %9.1f" % (kind, gone, at, before, gap))
    return lines


def gaps_table(preset, events_path, arrivals_path):
    hosts, delays = paths_of(preset)
    with open(events_path, encoding="utf-8") as file:
        events = [(int(line[0]), *line[1:]) for line in map(str.split, file)]
    with open(arrivals_path, encoding="utf-8") as file:
        every = sorted((int(line[0]), line[1], line[2], int(line[3])) for line in map(str.split, file)
                       if len(line) == 4)
    rows = list({row[1:]: row for row in reversed(every)}.values())[::-1]  # the first of each: a watch
    # that was connected again tells some once more
    rows.sort()
    print("%-8s %-28s %8s %9s %9s %9s   (ms; late: publish to visible at worst, over the way round;"
          " aim 300)" % ("cut", "updates of .. at ..", "round", "before", "gap", "late"))
    for event in events:
        if event[1] in ("both", "one-way"):
            print(*pair_row(hosts, delays, rows, event), sep="\n")
    print("%-8s %-28s %9s %9s   (ms; longest without an update of another survivor; aim 20)" % (
        "failure", "of .. at ..", "before", "gap"))
    for event in events:
        if event[1] in ("kill", "isolate"):
            print(*survivor_rows(hosts, rows, event), sep="\n")


def main():
    verb, preset, rest = sys.argv[1], sys.argv[2], sys.argv[3:]
    if verb == "delays":
        delays_table(preset, rest)
    elif verb == "pairs":
        pairs(preset, rest[0])
    else:
        gaps_table(preset, *rest)


main()
