"""load.py -- clients that publish and read while faults happen, and write down what they asked and were
answered, for the history checker (cluster-tests/history/history_file.h)."""
import bisect
import random
import threading
import time

import tidings
from cluster import ChaosError

CALL_SECONDS = 1.0
SETTLED_SECONDS = 10.0
UNKNOWN_JOB = 304
STATE_UNKNOWN = 255
REPORT = ("rank", "ms", "counter", "region", "start", "random", "seq")


class History:
    """The file. Time is taken under the lock, so that lines are in its order."""

    def __init__(self, path):
        self.file = open(path, "w", encoding="ascii", buffering=1 << 20)
        self.lock = threading.Lock()
        self.begun = time.monotonic()
        self.nodes = {}  # name -> number
        self.acknowledged = []  # (seconds, node, count), for the timeline
        self.last_acked = {}

    def seconds(self):
        return time.monotonic() - self.begun

    def node_number(self, name):
        return self.nodes.setdefault(name, len(self.nodes) + 1)

    def write(self, lines):
        """Each line with %d where its time goes."""
        with self.lock:
            now = int(self.seconds() * 1000)
            self.file.write("".join(line % now + "\n" for line in lines))

    def note(self, line):
        with self.lock:
            self.file.write(line + "\n")

    def acked(self, node, count):
        self.acknowledged.append((self.seconds(), node, count))

    def acked_between(self, begin, end, node=None):
        first = bisect.bisect_left(self.acknowledged, (begin,))
        last = bisect.bisect_left(self.acknowledged, (end,))
        return sum(row[2] for row in self.acknowledged[first:last] if node in (None, row[1]))

    def close(self):
        with self.lock:
            self.file.close()


def report_text(row):
    return " ".join(str(row[name]) for name in REPORT)


def rank(state):
    return 2 if state >= 5 else 1 if state == 4 else 0


def merged(one, other):
    """Two vectors (docs/PROTOCOL.md 8) as one: what either covers."""
    if one is None or one == other:
        return other
    folds = {}
    for region, below in tidings.groups(one[1], 2) + tidings.groups(other[1], 2):
        folds[region] = max(below, folds.get(region, 0))
    entries = {}
    for region, start, chance, seq in tidings.groups(one[0], 4) + tidings.groups(other[0], 4):
        if start >= folds.get(region, 0):
            entries[region, start, chance] = max(seq, entries.get((region, start, chance), 0))
    return [[number for key in sorted(entries) for number in (*key, entries[key])],
            [number for region in sorted(folds) for number in (region, folds[region])]]


class Session:
    """One client with its own connection, choices and token. `name` numbers it in the history."""

    numbers = 0
    numbers_lock = threading.Lock()

    def __init__(self, history, nodes, token, seed):
        self.history, self.nodes, self.token = history, nodes, token
        self.rng = random.Random(seed)
        self.client, self.node = None, None
        self.busy = None  # the node it is talking to right now
        self.failed_in_row = 0
        self.patience = CALL_SECONDS
        self.refused = {}  # error number -> count
        self.renew()

    def renew(self):
        """A new client: it has seen nothing."""
        with Session.numbers_lock:
            Session.numbers += 1
            self.number = Session.numbers
        self.calls, self.seen, self.vector, self.attempts = 0, {}, None, {}
        self.failed_in_row = 0

    def leave(self):
        if self.client:
            self.client.stream.socket.close()
        self.client = None

    def reach(self, node):
        if self.client is None or node is not self.node:
            self.leave()
            self.client, self.node = tidings.Client(node.address(), timeout_s=self.patience), node

    def ask(self, op, body):
        after = tidings.Token(vector=self.vector) if self.token and self.vector else None
        timeout_ms = int(self.client.timeout_ms * 0.8)
        return self.client.answer_to(self.client.send(op, body, after, timeout_ms))

    def answered(self, answer):
        self.failed_in_row = 0
        if self.token:
            self.vector = merged(self.vector, answer.has)

    def new_calls(self, count):
        first = self.calls + 1
        self.calls += count
        return range(first, first + count)

    def gone(self, calls):
        self.history.write([f"gone %d {self.number} {call}" for call in calls])

    def source(self, answer):
        """NODE PROCESS of the history."""
        return f"{self.history.node_number(self.node.name)} {answer.start << 32 | answer.random}"

    # ---- publish ----
    def publish(self, node, updates, ack):
        """updates: [(job, state, fields)], each job once. Returns how many were acknowledged."""
        calls = self.new_calls(len(updates))
        keys = [(job, self.attempts.get(job, 1)) for job, _, _ in updates]
        seen = [self.seen.get(key) if self.token else None for key in keys]
        self.history.write([f"publish %d {self.number} {call}" + (" " + report_text(row) if row else "")
                            for call, row in zip(calls, seen)])
        try:
            self.reach(node)
            body = [tidings.update(job, state, attempt=key[1], after=row and tidings.Token(
                1, [row[name] for name in REPORT]), **fields)
                for (job, state, fields), key, row in zip(updates, keys, seen)]
            answer = self.ask(tidings.PUBLISH, [ack, body])
        except (OSError, tidings.Refused, ChaosError) as error:
            return self.failed(calls, error)
        if answer.error:
            self.refused[answer.error] = self.refused.get(answer.error, 0) + len(updates)
            self.gone(calls)
            return 0
        return self.results(answer, list(zip(calls, updates, keys)))

    def results(self, answer, calls):
        lines, good = [], 0
        for (call, (job, state, _), key), result in zip(calls, answer.results()):
            if result["error"]:
                self.refused[result["error"]] = self.refused.get(result["error"], 0) + 1
                lines.append(f"gone %d {self.number} {call}")
                if result["error"] in (301, 302, 308):
                    self.attempts[job] = key[1] + 1
                continue
            good += 1
            lines.append(f"ack %d {self.number} {call} {self.source(answer)} {job} {key[1]} {result['noop']} "
                         f"{STATE_UNKNOWN} {report_text(result)}")
            self.saw(key, result)
            if tidings.STATES.index(state) >= 5:
                self.attempts[job] = key[1] + 1
        self.history.write(lines)
        self.answered(answer)
        self.history.acked(self.node.name, good)
        return good

    def saw(self, key, row):
        if self.token:
            self.seen[key] = {name: row[name] for name in REPORT}

    def failed(self, calls, error):
        self.gone(calls)
        self.leave()
        number = getattr(error, "number", 0)
        self.refused[number] = self.refused.get(number, 0) + len(calls)
        self.failed_in_row += 1
        return 0

    # ---- read ----
    def read(self, node, job, attempt, settled=False):
        """True when there was an answer that says something."""
        (call,) = self.new_calls(1)
        token = int(self.token and self.vector is not None)
        self.history.write([f"read %d {self.number} {call} {token} {int(settled)}"])
        try:
            self.reach(node)
            answer = self.ask(tidings.GET, [job, attempt, 0])
        except (OSError, tidings.Refused) as error:
            self.failed([call], error)
            return False
        if answer.error not in (0, UNKNOWN_JOB):
            self.refused[answer.error] = self.refused.get(answer.error, 0) + 1
            self.gone([call])
            self.failed_in_row += 1
            return False
        row = answer.registers()[0] if answer.error == 0 else None
        ages = "".join(f" {region}:{age[0]}" for region, age, _, recovering, *_ in answer.fresh
                       if age and not recovering)
        what = "none" if row is None else f"{row['state']} {rank(row['state'])} " + " ".join(
            str(row[name]) for name in REPORT[1:])
        self.history.write([f"shown %d {self.number} {call} {self.source(answer)} {job} {attempt} {what}{ages}"])
        if row is not None:
            self.saw((job, attempt), {**row, "rank": rank(row["state"])})
        self.answered(answer)
        return True


class Load:
    """The whole load of a run: `options` are those of the scenario's `load`."""

    def __init__(self, history, cluster, options, seed):
        self.history, self.cluster, self.options = history, cluster, options
        self.nodes = [cluster.node(name) for name in options["nodes"] or cluster.names()]
        self.extra = []  # further nodes to talk to, as a clone
        self.running = threading.Event()
        self.stopping = False
        self.sessions = [Session(history, self.nodes, token=i % 4 != 3, seed=seed * 1000 + i)
                         for i in range(options["sessions"])]
        self.threads = [threading.Thread(target=self.work, args=(session,), daemon=True)
                        for session in self.sessions]
        self.attempts_used = {}

    def start(self):
        self.running.set()
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            if thread.is_alive():
                thread.join()

    def job(self, number):
        return f"load/{number}"

    def patient_session(self):
        session = Session(self.history, self.nodes, False, 0)
        session.patience = SETTLED_SECONDS
        return session

    def preload(self):
        """Every job once, and some that never change again, everywhere: what a node lacks later shows."""
        session = self.patient_session()
        for prefix, state, count in (("load", "running", self.options["jobs"]), ("still", "completed", 200)):
            for first in range(0, count, 200):
                updates = [(f"{prefix}/{i}", state, {"progress": 0} if state == "running" else {})
                           for i in range(first, min(first + 200, count))]
                good = session.publish(self.nodes[0], updates, tidings_ack(self.options["preload_ack"]))
                if good != len(updates):
                    raise ChaosError(f"the first reports were refused: {session.refused}")

    def work(self, session):
        pause = self.options["sessions"] * self.options["batch"] / self.options["rate"]
        node, due = session.rng.choice(self.nodes), time.monotonic() + session.rng.random() * pause
        while not self.stopping:
            due = max(due + pause, time.monotonic() - 1)
            if session.failed_in_row or session.rng.random() < 0.05 or node not in self.nodes:
                node = session.rng.choice(self.nodes + self.extra)
            if session.failed_in_row >= 8:
                session.leave()
                session.renew()
            session.busy = node
            if node in self.nodes or node in self.extra:  # not one whose disk is about to be lost
                self.step(session, node)
            session.busy = None
            time.sleep(max(0.0, due - time.monotonic(), 0.05 if session.failed_in_row else 0.0))
        session.leave()

    def step(self, session, node):
        rng, options = session.rng, self.options
        jobs = rng.sample(range(options["jobs"]), min(options["batch"], options["jobs"]))
        updates = []
        for number in jobs:
            fields = {"detail": "d" * options["detail_bytes"]} if options["detail_bytes"] else {}
            if rng.random() < options["finals"]:
                updates.append((self.job(number), "completed", fields))
            else:
                updates.append((self.job(number), "running", {**fields, "progress": rng.randrange(10001)}))
        session.publish(node, updates, tidings_ack(options["ack"]))
        for key, attempt in session.attempts.items():
            if attempt > self.attempts_used.get(key, 1):
                self.attempts_used[key] = attempt
        for number in rng.sample(jobs, min(options["reads"], len(jobs))):
            session.read(node, self.job(number), session.attempts.get(self.job(number), 1))

    def refusals(self):
        found = {}
        for session in self.sessions:
            for number, count in session.refused.items():
                found[number] = found.get(number, 0) + count
        return found

    def settled_reads(self):
        """At every node every register: what anybody acknowledged has to be shown. Returns reads that failed."""
        failed = 0
        for node in self.nodes:
            session = self.patient_session()
            for number in range(self.options["jobs"]):
                for attempt in range(1, self.attempts_used.get(self.job(number), 1) + 1):
                    failed += not session.read(node, self.job(number), attempt, settled=True)
            for number in range(200):
                failed += not session.read(node, f"still/{number}", 1, settled=True)
            session.leave()
        return failed


def tidings_ack(value):
    return 255 if value == "all" else int(value)
