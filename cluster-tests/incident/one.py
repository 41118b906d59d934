"""one.py -- the replay against one system, in a process of its own: set up, wait for the common start,
play the plan, write what was seen.   one.py NAME STATE-DIR OPTIONS-AS-JSON"""
import asyncio
import json
import sys
import time
from types import SimpleNamespace

from judge import Judge
from mesh import Mesh, MeshCut
from mqtt import Mosquitto, RabbitMq
from nats_stream import NatsStream
from plain import Plain
from redis_streams import Redis
from script import REGIONS, make_plan

SYSTEMS = {c.name: c for c in (Plain, Redis, NatsStream, RabbitMq, Mosquitto, Mesh, MeshCut)}


def plan_of(options):
    return make_plan(options.seed, options.lead, options.outage, options.settle, options.workers, options.buffer,
                     options.restarts, options.max_stale, options.poll)


async def sleep_until(moment):
    await asyncio.sleep(max(0.0, moment - time.time()))


async def play_updates(plan, t0, workers, judge, late):
    """Offers every update at its time. On a machine that is busy with something else that may be later: what
    counts is when the worker really reported."""
    for update in plan.updates:
        await sleep_until(t0 + update.at)
        now = time.time() - t0
        late[0] = max(late[0], now - update.at)
        update.at, update.offered = now, True
        workers[update.worker].offer(update)
    judge.all_offered = True


async def play_restarts(plan, t0, workers):
    async def one(at, worker):
        await sleep_until(t0 + at)
        await workers[worker].restart()
    await asyncio.gather(*(one(*r) for r in plan.restarts))


async def play_outage(plan, t0, system, judge):
    await sleep_until(t0 + plan.outage_at)
    await system.outage()
    await sleep_until(t0 + plan.heal_at)
    await system.heal(judge.mark_heal())


async def play_reader(plan, t0, system, judge, region, options):
    """Looks until everything is shown, or nothing has changed for a while after the last report."""
    at, last_change, left = 0.5, 0.0, 0
    while not judge.all_shown():
        await sleep_until(t0 + at)
        begun = time.time() - t0
        seen = await system.read(region)
        if seen is None:
            judge.unanswered += 1
        else:
            judge.look(region, begun, time.time() - t0, *seen)
        at = max(at + plan.poll, time.time() - t0)
        if left != len(judge.open[region]) or not judge.all_offered or at < plan.heal_at:
            left, last_change = len(judge.open[region]), at
        if at > last_change + (plan.settle if system.tells_staleness or not options.check else 4):
            break # what has not come by now is lost


async def play(system, plan, options):
    workers = [system.worker(i, plan.region(i)) for i in range(plan.workers)]
    for worker in workers:
        worker.start()
    print("ready", flush=True)
    t0 = float((await asyncio.to_thread(sys.stdin.readline)).split()[1])
    judge, late = Judge(plan), [0.0]
    await asyncio.gather(play_updates(plan, t0, workers, judge, late), play_restarts(plan, t0, workers),
                         play_outage(plan, t0, system, judge), *(play_reader(plan, t0, system, judge, r, options) for r in REGIONS))
    if hasattr(system, "finish"):
        await system.finish()
    moved, moved_jobs = system.moved()
    result = judge.verdict(system, t0)
    result |= {"dropped": sum(w.dropped for w in workers), "lost_in_restarts": sum(w.lost_in_restart for w in workers),
               "harness_late": late[0], "moved": moved, "moved_jobs": moved_jobs, "tells": system.tells_staleness,
               "refused": [r for w in workers for r in getattr(w, "refused", [])]}
    for worker in workers:
        await worker.stop()
    return result


async def main():
    name, where = sys.argv[1:3]
    options = SimpleNamespace(**json.loads(sys.argv[3]))
    system = SYSTEMS[name](where, options)
    result = {"name": name, "title": system.title, "settings": list(system.settings)}
    try:
        await system.setup()
        result |= await play(system, plan_of(options), options)
    except Exception as error: # whatever went wrong is this system's result, not the end of the comparison
        result["error"] = f"{type(error).__name__}: {error}"
        print("failed", flush=True)
    finally:
        await system.teardown()
    with open(f"{where}/result.json", "w", encoding="utf-8") as f:
        json.dump(result, f)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)
