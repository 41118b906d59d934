"""soak.py -- kill -9, pauses, cuts and clock faults at random under load, as many as asked for or as long
as asked for, all from one seed; in the end nothing acknowledged may be lost, and descriptors, threads and
memory of every node are compared with their values at the start."""
import heapq
import os
import signal
import tempfile
import time
from types import SimpleNamespace

import verdict
from cluster import until
from faults import Active, undo_start
from scenario import LOAD
from report import write_page
from run import Band, Run

REGIONS = ["eu-west", "us-east", "ap-south"]
KINDS = ("kills", "pauses", "cuts", "clocks")
WEIGHTS = (70, 10, 10, 10)  # of a soak by time
PROGRESS_SECONDS = 30
# Within the 60 s by which a clock may be behind its own log: beyond that a node takes no reports (TD-E0407),
# which clock-year-ahead.yaml shows.
SHIFTS = ("+5s", "+25s", "-25s")
# More than at the start: clients that are just connected; what an allocator keeps.
DESCRIPTORS_MORE, MEMORY_TIMES, MEMORY_MORE_MIB = 4, 1.5, 32
SEGMENTS_OPEN = 256
RENEW_EVERY = 50  # faults


class Soak(Run):
    def __init__(self, scenario, directory, counts, seconds):
        super().__init__(scenario, directory)
        self.counts, self.limit_seconds = counts, seconds
        self.done = dict.fromkeys(KINDS, 0)
        self.ready_seconds = []  # from the start after a kill until it takes reports
        self.first = {}

    def events(self):
        """Kinds in a random order; without counts they never end."""
        if self.counts:
            kinds = [kind for kind, count in self.counts.items() for _ in range(count)]
            self.rng.shuffle(kinds)
            yield from kinds
            return
        while True:
            yield self.rng.choices(KINDS, WEIGHTS)[0]

    def faults(self, plan, say):
        for node in self.cluster.nodes.values():  # a node that has been restarted is what the end is compared with
            self.kill(node)
        until(60, "all is settled before the soak", self.cluster.mesh_complete)
        self.first = {name: node.figures() for name, node in self.cluster.nodes.items()}
        queue = []
        try:
            self.some_faults(queue, say)
        except KeyboardInterrupt:
            say("interrupted: what was is judged")
            for node in self.cluster.nodes.values():
                undo_start(self.cluster, [node.name], None)
        self.end_of(queue, ("pause", "cut", "one-way"))

    def some_faults(self, queue, say):
        begun = told = time.monotonic()
        for number, kind in enumerate(self.events()):
            if self.limit_seconds and time.monotonic() - begun > self.limit_seconds:
                break
            while queue and queue[0][0] <= time.monotonic():
                self.undo(*heapq.heappop(queue)[2])
            self.event(kind, number, queue)
            if number % RENEW_EVERY == RENEW_EVERY - 1:
                self.end_of(queue, ("pause", "cut", "one-way"))
                self.renew(self.cluster.names()[number // RENEW_EVERY % len(REGIONS)])
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                say(f"{told - begun:6.0f} s  " + ", ".join(f"{count} {kind}" for kind, count in self.done.items()))

    def renew(self, name):
        """Its log is deleted: it comes back from the others as latest states only. Without that the logs, which
        are not compacted, and with them each start, would grow for as long as the soak lasts."""
        node = self.cluster.node(name)
        until(60, "links are up before a log is deleted", self.cluster.mesh_complete)
        seen = node.log_size()
        node.stop()
        if "covered_elsewhere=yes" not in node.log_text(seen):
            node.start()  # nobody has what it would lose
            return
        self.do("wipe-disk", [name])
        until(60, f"{name} has everything back", lambda: recovered(node), 0.05)

    def event(self, kind, number, queue):
        """One more fault, on a node that is not standing still; the others meanwhile are under load."""
        if kind in ("pauses", "cuts"):
            # One pause at a time, one cut at a time; the switch of a node that stands still cannot be set.
            self.end_of(queue, ("pause",) if kind == "pauses" else ("pause", "cut", "one-way"))
        standing = {name for _, _, (_, row) in queue for name in row["arguments"] if row["fault"] == "pause"}
        cut = {name for _, _, (_, row) in queue for name in row["arguments"]} - standing
        names = [name for name in self.cluster.names() if name not in standing]
        self.done[kind] += 1
        if kind == "kills":
            name = self.rng.choice(names)
            band = Band("kill " + name, self.history.seconds())
            self.kill(self.cluster.node(name), self.rng.uniform(0, 0.1))
            band.end = self.history.seconds()
            self.bands.append(band)
        elif kind == "clocks":
            self.clock(self.rng.choice(names), self.rng.choice(SHIFTS))
        else:
            words = (["pause", self.rng.choice([name for name in names if name not in cut])] if kind == "pauses" else
                     [self.rng.choice(["cut", "cut", "one-way"]), *self.rng.sample(self.cluster.names(), 2)])
            heapq.heappush(queue, (time.monotonic() + self.rng.uniform(0.2, 1.0), number, self.do(words[0], words[1:])))

    def end_of(self, queue, faults):
        """Undoes those of these names, before their time."""
        for entry in [entry for entry in queue if entry[2][1]["fault"] in faults]:
            queue.remove(entry)
            self.undo(*entry[2])
        heapq.heapify(queue)

    def kill(self, node, down=0.0):
        node.stop(signal.SIGKILL)
        time.sleep(down)
        node.start()
        begun = time.monotonic()
        until(60, f"{node.name} takes reports again", node.ready, 0.01)
        self.ready_seconds.append(time.monotonic() - begun)

    def clock(self, name, shift):
        """Killed each time: a clock that jumps gives no notice, and draining takes time."""
        node = self.cluster.node(name)
        node.stop(signal.SIGKILL)
        done = self.do("skew", [name, shift])
        until(60, f"{name} takes reports under {shift}", node.ready, 0.01)
        time.sleep(self.rng.uniform(0.2, 0.6))  # how long the fault lasts
        node.stop(signal.SIGKILL)
        self.undo(*done)
        until(60, f"{name} takes reports with its clock back", node.ready, 0.01)

    def figure_rows(self):
        rows = []
        for name, node in self.cluster.nodes.items():
            first, last = self.first[name], node.figures()
            good = (last["descriptors"] <= first["descriptors"] + DESCRIPTORS_MORE and
                    last["segments open"] <= SEGMENTS_OPEN and last["threads"] <= first["threads"] and
                    last["MiB"] <= first["MiB"] * MEMORY_TIMES + MEMORY_MORE_MIB)
            rows.append((f"{name}: descriptors, threads, memory as at the start", good, ", ".join(
                f"{what} {first[what]:.0f} -> {last[what]:.0f}" for what in first)))
        return rows


def recovered(node):
    answer = node.status()
    return answer is not None and answer.body[6] == 1 and not any(row[3] for row in answer.fresh)


def cmd_soak(words, take_options, usage_error):
    rest, options = take_options(words, {"hours": float, "minutes": float, "seed": int, "html": str,
                                         **dict.fromkeys(KINDS, int)})
    if rest:
        raise usage_error(f"soak knows no {rest[0]}")
    counts = {kind: options[kind] for kind in KINDS if kind in options}
    seconds = options.get("hours", 0) * 3600 + options.get("minutes", 0) * 60
    if not counts and not seconds:
        raise usage_error("soak wants --hours, --minutes or counts")
    seed = options.get("seed", int(time.time()))
    scenario = SimpleNamespace(
        name="soak", seed=seed, proves="kill -9, pauses, cuts and clock faults at random under load.", regions=REGIONS,
        wan=None, config="", cuts=[], expect={}, load={**LOAD, "rate": 100, "batch": 10, "jobs": 500, "finals": 0.002}, plan=lambda names: [])
    directory = os.path.join(tempfile.gettempdir(), f"tidings-chaos-{os.getuid()}-soak-{seed}")
    print(f"== soak, seed {seed}, state in {directory}", flush=True)
    run = Soak(scenario, directory, counts, seconds)
    try:
        run.execute(lambda text: print("   " + text, flush=True))
        run.rows = verdict.judge(run) + run.figure_rows()
    finally:
        if hasattr(run, "cluster"):
            run.load.stopping = run.sampler.stopping = True
            try:
                Active(run.cluster).undo_all()
            finally:
                run.cluster.stop()
    return tell(run, options.get("html", os.path.join(directory, "timeline.html")))


def tell(run, page):
    good = all(row[1] for row in run.rows)
    ready = sorted(run.ready_seconds)
    print(", ".join(f"{count} {kind}" for kind, count in run.done.items()) +
          f" in {run.seconds:.0f} s; from start to ready after a kill: median {ready[len(ready) // 2]:.2f} s, "
          f"longest {ready[-1]:.2f} s")
    for name, fine, seen in run.rows:
        print(f"{'ok  ' if fine else 'FAIL'}  {name}: {seen}")
    write_page(run, good, page)
    print(f"verdict: {'PASS' if good else 'FAIL'}, page {page}", flush=True)
    return 0 if good else 1
