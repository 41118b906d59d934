"""backlog.py -- what the heal costs after N updates were missed: brokers move every message, tidings the
latest status of each job. One system after the other, each with the machine to itself."""
import asyncio
import json
import shutil
import time

import one
from mesh import VICTIM
from script import REGIONS, Update

QUIET_SECONDS = 15 # without any progress: what is not there by then is lost


def updates(count, jobs):
    """Round and round over all jobs; the last round ends them."""
    for n in range(count):
        final = n >= count - jobs
        yield Update(n, 0.0, n % 20, f"inc/{n % jobs}", "completed" if final else "running", None if final else n / count)


async def settled(value, wanted):
    """Waits until value() reaches wanted or stands still; returns the seconds to the last progress."""
    begun = last = time.time()
    have = value()
    while have < wanted and time.time() - last < QUIET_SECONDS:
        await asyncio.sleep(0.02)
        if value() != have:
            have, last = value(), time.time()
    return (time.time() if have >= wanted else last) - begun


async def against_broker(system, count, jobs):
    workers = [system.worker(i, REGIONS[i % 3]) for i in range(20)]
    for worker in workers:
        worker.bound = count
    for update in updates(count, jobs):
        workers[update.worker].buffer.append(update)
    await system.outage()
    for worker in workers:
        worker.start()
    for table in system.tables.values():
        table.count = 0
    before = sum(r.bytes for r in system.roads)
    await system.heal(count)
    seconds = await settled(lambda: sum(t.count for t in system.tables.values()), 3 * count)
    for worker in workers:
        await worker.stop()
    right = sum(state == "completed" for t in system.tables.values() for _, state in t.shown.values())
    return {"seconds": seconds, "messages": sum(t.count for t in system.tables.values()),
            "bytes": sum(r.bytes for r in system.roads) - before, "wrong": 3 * jobs - right}


async def publish_all(system, count, jobs):
    """All of it through one node that is up; returns the token of the last answer."""
    process = await asyncio.create_subprocess_exec(
        system.tool, "-n", system.socket(REGIONS[1]), "publish", "--from-jsonl", "-", "--in-flight", "64", "--timeout", "120s",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)

    async def feed():
        lines = []
        for update in updates(count, jobs):
            lines.append(json.dumps({"job": update.job, "attempt": 1, "state": update.state, "detail": f"u{update.n}"}))
            if len(lines) == 1000:
                process.stdin.write("\n".join(lines).encode() + b"\n")
                await process.stdin.drain()
                lines = []
        process.stdin.write("".join(line + "\n" for line in lines).encode())
        process.stdin.close()
    feeder = asyncio.create_task(feed())
    answers, last = 0, b""
    async for line in process.stdout:
        answers += b'"durable":true' in line
        last = line
    await feeder
    if await process.wait() != 0 or answers != count:
        raise RuntimeError(f"{answers} of {count} updates confirmed")
    return json.loads(last)["token"]


async def ask(system, region, *words):
    process = await asyncio.create_subprocess_exec(system.tool, "-n", system.socket(region), *words, "-o", "json",
                                                   stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
    out, _ = await process.communicate()
    return json.loads(out) if process.returncode == 0 else None


async def received(system):
    """Bytes that the node got from others; it brings the figure up to date about once a second."""
    have, since = -1, time.time()
    while time.time() < since + 2.5:
        now = sum(p["received_bytes"] for p in (await ask(system, VICTIM, "peers"))["peers"])
        if now > have * 1.01 + 2000: # more than the links' own talk
            have, since = now, time.time()
        await asyncio.sleep(0.1)
    return have


async def against_tidings(system, count, jobs):
    for watcher in system.watchers[1:]: # only what reaches the victim is counted, as its watch shows it
        watcher.cancel()
    await system.outage()
    begun = time.time()
    token = await publish_all(system, count, jobs)
    published = time.time() - begun
    begun = time.time()
    await system.heal(count)
    while await ask(system, VICTIM, "get", "inc/0", "--after", token, "--timeout", "60s") is None:
        if time.time() > begun + 120:
            break
        await asyncio.sleep(0.02) # its node is still starting
    seconds = time.time() - begun
    moved = await received(system)
    there = await ask(system, VICTIM, "list", "--prefix", "inc/", "--state", "completed")
    await settled(lambda: len(system.seen[VICTIM]), jobs)
    return {"seconds": seconds, "messages": system.late[VICTIM], "bytes": moved, "wrong": jobs - len(there["jobs"]),
            "published_in": published}


async def measure(name, count, options):
    where = f"{options.state}/{name}"
    shutil.rmtree(where, ignore_errors=True)
    system = one.SYSTEMS[name](where, options)
    try:
        await system.setup()
        play = against_tidings if system.tells_staleness else against_broker
        return await play(system, count, options.jobs)
    except (RuntimeError, OSError) as error:
        return {"error": str(error)}
    finally:
        await system.teardown()


def row(name, result):
    title = "tidings" if name == "tidings" else one.SYSTEMS[name].title
    if "error" in result:
        return f"{title:<28}{result['error']}"
    regions = 1 if name == "tidings" else 3
    return (f"{title:<28}{regions:>8}{result['messages']:>16}{result['bytes'] / 1e6:>12.1f}{result['seconds']:>10.2f}"
            f"{result['wrong']:>14}")


def run(brokers, count, options):
    if not 1 <= options.jobs <= count:
        print(f"--jobs must be 1 to {count}")
        return 2
    print(f"{count} updates to {options.jobs} jobs were missed; from the heal until every region that missed them is complete\n\n"
          f"{'SYSTEM':<28}{'REGIONS':>8}{'STATES MOVED':>16}{'MB':>12}{'SECONDS':>10}{'JOBS WRONG':>14}", flush=True)
    result = {}
    for name in brokers + ["tidings"]:
        result = asyncio.run(measure(name, count, options))
        print(row(name, result), flush=True)
    good = "error" not in result and result["wrong"] == 0
    if "published_in" in result:
        print(f"\ntidings took the {count} updates during the outage, in {result['published_in']:.1f} s. The workers of brokers held them in\n"
              "memory and send them after the heal; their clients, like the consumers, are Python and part of the seconds.\n"
              "REGIONS: those that had missed them, all three with a broker, that of the killed node with tidings.")
    print("verdict:", "PASS: nothing is missing" if good else "FAIL")
    return 0 if good else 1
