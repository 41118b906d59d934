"""run.py -- a scenario from its file to its verdict: cluster, load, faults at their times, healing, checks."""
import heapq
import os
import random
import time

import verdict
from cluster import TOP, ChaosError, Node, make_cluster, read_file, require, until
from faults import Active
from load import History, Load
from sample import Sampler

SETTLE_SECONDS = 60
DISK_FAULTS = ("wipe-disk", "restore-backup", "corrupt-log", "drop-segment")


class Band:
    """A fault as it happened."""

    def __init__(self, text, begin, end=None):
        self.text, self.begin, self.end = text, begin, end


class Run:
    """What happened, for the verdict and the page."""

    def __init__(self, scenario, directory):
        self.scenario, self.dir = scenario, directory
        self.bands, self.problems = [], []
        self.peers_text = {}  # of the nodes that have to name something: what they said before each undo
        self.settled_after = None  # seconds from the last undo until all were certain and equal
        self.failed_reads = None

    def build(self):
        scenario = self.scenario
        self.cluster = make_cluster(self.dir, scenario.regions, scenario.wan, scenario.config)
        if scenario.wan:
            keep_preset(self.cluster, scenario.wan)
        self.active = Active(self.cluster)
        self.active.undo_all()
        self.rng = random.Random(scenario.seed + 1)
        self.log_from = {name: node.log_size() for name, node in self.cluster.nodes.items()}
        self.history = History(os.path.join(self.dir, "history"))
        self.load = Load(self.history, self.cluster, scenario.load, scenario.seed)
        self.sampler = Sampler(self.cluster, self.history.seconds)

    def execute(self, say):
        scenario = self.scenario
        self.build()
        plan = scenario.plan(self.cluster.names())
        for one, other in scenario.cuts:
            self.active.do("cut", [one, other], self.rng)
        self.sampler.start()
        self.load.preload()
        until(SETTLE_SECONDS, "the first reports are everywhere", self.settled)
        self.load.start()
        self.sampler.watch_still = True
        try:
            self.faults(plan, say)
            self.heal()
        finally:
            self.load.stop()
            self.sampler.stop()
        self.seconds = self.history.seconds()
        say("reading everything back at every region")
        self.failed_reads = self.load.settled_reads()
        self.history.close()

    # ---- faults ----
    def faults(self, plan, say):
        begun = self.history.seconds()
        queue = [(begun + at, number, "do", row) for number, (at, *row) in enumerate(plan)]
        heapq.heapify(queue)
        end = begun + self.scenario.length
        while queue and queue[0][0] <= end:
            due, number, what, row = heapq.heappop(queue)
            time.sleep(max(0.0, due - self.history.seconds()))
            if what == "undo":
                self.undo(*row)
                continue
            name, arguments, duration = row
            for other in [entry for entry in queue if entry[2] == "undo" and entry[3][1]["fault"] == name and
                          entry[3][1]["arguments"] == arguments]:  # on a busy machine the last one still lasts
                queue.remove(other)
                heapq.heapify(queue)
                self.undo(*other[3])
            say(f"{self.history.seconds() - begun:6.1f} s  {name} {' '.join(arguments)}")
            done = self.do(name, arguments)
            if done and duration is not None:
                heapq.heappush(queue, (self.history.seconds() + duration, number, "undo", done))
        require(not queue, "the length of the scenario ends before its faults do")
        time.sleep(max(0.0, end - self.history.seconds()))

    def do(self, name, arguments):
        band = Band(f"{name} {' '.join(arguments)}", self.history.seconds())
        self.bands.append(band)
        if name in DISK_FAULTS:
            self.ruin(name, arguments)
        else:
            row = self.active.do(name, arguments, self.rng)
            if name == "clone":
                self.add_clone(arguments[0])
            if row:
                return band, row
        band.end = self.history.seconds()
        return None

    def ruin(self, name, arguments):
        """The disk loses what this node said: nobody talks to it meanwhile, and afterwards the checker expects
        nothing of this node's own disk, but all of it of the cluster."""
        node = self.cluster.node(arguments[0])
        nodes, self.load.nodes = self.load.nodes, [other for other in self.load.nodes if other is not node]
        try:
            until(30, "no client is talking to the node", lambda: not any(
                session.busy is node for session in self.load.sessions))
            self.history.note(f"ruined {self.history.node_number(node.name)}")
            self.active.do(name, arguments, self.rng)
        finally:
            self.load.nodes = nodes

    def add_clone(self, name):
        self.load.extra.append(Node(self.cluster, name + "-clone"))

    def undo(self, band, row):
        if row["fault"] == "clone":
            self.load.extra.clear()
        for wanted in self.scenario.expect.get("named", []):
            if "peers" in wanted:
                self.peers_text.setdefault(wanted["node"], []).append(
                    verdict.peers_text(self.cluster.node(wanted["node"])))
        self.active.undo(row)
        band.end = self.history.seconds()

    def bands_end(self):
        """When the load ended: at the latest undo."""
        return max((band.end for band in self.bands), default=self.seconds)

    # ---- healing ----
    def heal(self):
        cuts = [["cut", *pair] for pair in self.scenario.cuts]
        for band in self.bands:
            band.end = band.end or self.history.seconds()
        self.active.undo_all()
        healed = self.history.seconds()
        if cuts:
            self.bands.append(Band("all links healed", healed, healed))
        for node in self.cluster.nodes.values():
            if not node.pid():
                self.problems.append(f"{node.name} ended by itself: {node.log_text()[-300:]}")
                node.start()
        self.load.stop()
        try:
            limit = self.scenario.expect.get("recover_within", SETTLE_SECONDS)
            until(limit, "every region is complete, certain and equal", self.settled)
            self.settled_after = self.history.seconds() - healed
        except ChaosError as error:
            self.problems.append(str(error))

    def settled(self):
        """Links up, answers certain, vectors equal, no region still recovering, all take reports."""
        first = None
        for node in self.cluster.nodes.values():
            answer = node.status()
            if answer is None or not answer.certain or not answer.body[6] or any(row[3] for row in answer.fresh):
                return False
            first = first or answer.has
            if answer.has != first:
                return False
        return bool(self.scenario.cuts) or self.cluster.mesh_complete()


def keep_preset(cluster, preset):
    """For the undo of slow and lossy."""
    path = preset if os.path.exists(preset) else os.path.join(TOP, "cluster-tests", "wan", "presets", preset)
    with open(os.path.join(cluster.dir, "wan-preset"), "w", encoding="utf-8") as file:
        file.write(read_file(path))


def run_scenario(scenario, directory, say):
    """Returns the Run with .rows (the verdict). The cluster is stopped in any case."""
    run = Run(scenario, directory)
    try:
        run.execute(say)
        run.rows = verdict.judge(run)
    finally:
        for thing in ("load", "sampler"):
            if hasattr(run, thing):
                getattr(run, thing).stopping = True
        if hasattr(run, "cluster"):
            try:
                Active(run.cluster).undo_all()
            finally:
                run.cluster.stop()
    return run
