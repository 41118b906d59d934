"""script.py -- what the simulated workers report and when: seeded, so that every system under test gets
the identical sequence. One wall second stands for `scale` seconds of the outage that is replayed."""
import json
import random
from dataclasses import dataclass, field

REGIONS = ("eu-west", "us-east", "ap-south")
FINAL = ("completed", "failed", "stopped")
SLOTS = 2  # jobs a worker has under way at one time


@dataclass
class Update:
    n: int          # place in the whole sequence; the table in each region keeps the highest per job
    at: float       # seconds after the start of the run
    worker: int
    job: str
    state: str
    progress: float | None = None
    offered: bool = False

    def line(self):
        return json.dumps({"n": self.n, "job": self.job, "state": self.state, "progress": self.progress})


@dataclass
class Plan:
    seed: int
    outage_at: float
    heal_at: float
    settle: float           # this long after the last progress what is not shown is called lost
    workers: int
    buffer: int             # updates a worker can hold in memory
    max_stale: float        # what readers accept
    poll: float             # between two looks of a reader
    updates: list = field(default_factory=list)
    restarts: list = field(default_factory=list)    # (at, worker)

    @property
    def scale(self):
        return 12 * 3600 / (self.heal_at - self.outage_at)

    def region(self, worker):
        return REGIONS[worker % len(REGIONS)]


def job_life(rng, start):
    """(at, state, progress) of one job: waits, runs with reports of its progress, ends."""
    at = start
    yield at, "pending", None
    at += rng.uniform(0.2, 0.9)
    yield at, "running", 0.0
    length = min(5.0, 0.6 + rng.expovariate(1 / 1.8))
    begun = at
    while True:
        step = rng.uniform(0.4, 0.9)
        if at + step >= begun + length:
            break
        at += step
        yield at, "running", round((at - begun) / length, 2)
    end = rng.choices(FINAL, (90, 8, 2))[0]
    yield begun + length, end, 1.0 if end == "completed" else None


def make_plan(seed, lead, outage, settle, workers=20, buffer=1000, restarts=True, max_stale=2.0, poll=0.2):
    plan = Plan(seed, lead, lead + outage, settle, workers, buffer, max_stale, poll)
    last_start = plan.heal_at + 1.0
    raw = []
    for worker in range(workers):
        for slot in range(SLOTS):
            rng = random.Random(f"{seed}/{worker}/{slot}")
            at, number = rng.uniform(0.0, 1.5), 0
            while at < last_start:
                number += 1
                job = f"inc/w{worker:02d}-{slot}/{number}"
                for when, state, progress in job_life(rng, at):
                    raw.append((when, worker, job, state, progress))
                at = when + rng.uniform(0.05, 0.3)
    raw.sort(key=lambda r: r[0])
    plan.updates = [Update(n, *r) for n, r in enumerate(raw)]
    if restarts:
        # Over 12 hours half of the workers are replaced once: a deployment, a scale-in, a lost machine.
        rng = random.Random(f"{seed}/restarts")
        for worker in rng.sample(range(workers), workers // 2):
            plan.restarts.append((rng.uniform(plan.outage_at + 0.1 * outage, plan.outage_at + 0.9 * outage), worker))
        plan.restarts.sort()
    return plan
