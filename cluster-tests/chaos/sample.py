"""sample.py -- what every node says of itself four times a second during a run: how old each region's part
of its answers is, whether it calls them certain, and whether it then lacks what never changes."""
import bisect
import threading
import time

import tidings

PERIOD = 0.25
NOT_ASKED = -1.0
STILL = 200  # jobs still/..., published before the first fault (load.py)


class Sample:
    def __init__(self, seconds, ages, certain, notes):
        self.seconds = seconds
        self.ages = ages      # region name -> seconds; None = unknown
        self.certain = certain
        self.notes = notes    # words of what it names: recovering, clone, ...


class Sampler:
    """One thread per node; `samples[name]` is in the order of time. No sample: it did not answer."""

    def __init__(self, cluster, seconds_now):
        self.seconds_now = seconds_now
        self.samples = {name: [] for name in cluster.names()}
        self.false_certain = []  # (seconds, node, how many of the jobs it lacked)
        self.watch_still = False
        self.stopping = False
        self.threads = [threading.Thread(target=self.work, args=(node,), daemon=True)
                        for node in cluster.nodes.values()]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()

    def work(self, node):
        client = None
        while not self.stopping:
            begun = time.monotonic()
            try:
                client = client or tidings.Client(node.address(), timeout_s=1.0)
                self.samples[node.name].append(self.sample(client))
                if self.watch_still:
                    self.look_for_still(client, node.name)
            except (OSError, tidings.Refused):
                if client:
                    client.stream.socket.close()
                client = None
            time.sleep(max(0.02, PERIOD - (time.monotonic() - begun)))
        if client:
            client.stream.socket.close()

    def sample(self, client):
        seconds = self.seconds_now()
        answer = client.ask(tidings.STATUS, [])
        names = answer.names
        ages = {names.get(row[0], str(row[0])): row[1][0] / 1000 if row[1] and not row[3] else None
                for row in answer.fresh}
        notes = set()
        for row in answer.fresh:
            if row[3]:
                notes.add("recovering")
            if row[4]:
                notes.add("doubt")
        for row in answer.body[0]:
            for at, word in ((21, "clone"), (22, "rolled_back"), (23, "equivocation")):
                if row[at]:
                    notes.add(word)
        return Sample(seconds, ages, bool(answer.certain), notes)

    def look_for_still(self, client, name):
        answer = client.ask(tidings.LIST, [tidings.job_filter("still/"), 1000, 0])
        count, cursor = len(answer.body[0]), answer.body[1]
        certain = bool(answer.certain)
        while cursor:
            answer = client.ask(tidings.LIST, [tidings.job_filter("still/"), 1000, cursor])
            count, cursor, certain = count + len(answer.body[0]), answer.body[1], certain and bool(answer.certain)
        if certain and count < STILL:
            self.false_certain.append((self.seconds_now(), name, STILL - count))

    def oldest_seen(self, region, begin, end):
        """The largest age of a region's part that any other node showed; None = unknown somewhere;
        NOT_ASKED = no other node answered."""
        worst = NOT_ASKED
        for name, samples in self.samples.items():
            if name == region:
                continue
            first = bisect.bisect_left(samples, begin, key=lambda sample: sample.seconds)
            last = bisect.bisect_left(samples, end, key=lambda sample: sample.seconds)
            for sample in samples[first:last]:
                age = sample.ages.get(region)
                if age is None:
                    return None
                worst = max(worst, age)
        return worst
