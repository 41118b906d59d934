"""mesh.py -- tidings as the system under test: three real tidingsd of scripts/cluster.sh, workers through
`tidings publish --from-jsonl -`, readers through `tidings list`, all over the nodes' local sockets."""
import asyncio
import fcntl
import json
import os
import time
from datetime import datetime

from script import REGIONS
from system import System, Worker, kill

VICTIM = REGIONS[0] # where the broker lived
SHELL = 'set -euo pipefail; . "$0/scripts/lib.sh"; . "$0/scripts/cluster.sh"; cluster=$1; bin=$2; '


def epoch(text):
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class LineWorker(Worker):
    """A worker is a process that pipes lines into `tidings publish`, which tries again and fails over."""

    def __init__(self, system, region):
        super().__init__(system.options.buffer)
        self.system, self.nodes = system, system.nodes(region)
        self.process, self.refused = None, []

    def accepted(self, update):
        if self.process is not None:
            self.process.stdin.write(self.line(update))

    @staticmethod
    def line(u):
        body = {"job": u.job, "attempt": 1, "state": u.state, "detail": f"u{u.n}", "writer": f"w{u.worker}"}
        if u.progress is not None:
            body["progress"] = u.progress
        return json.dumps(body).encode() + b"\n"

    async def run(self):
        self.process = await asyncio.create_subprocess_exec(
            self.system.tool, "-n", self.nodes, "publish", "--from-jsonl", "-", "--timeout", "60s",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
        for update in self.buffer:
            self.process.stdin.write(self.line(update))
        async for line in self.process.stdout: # answers come in the order of the lines
            update = self.buffer.popleft()
            if b'"durable":true' in line:
                self.system.confirmed[update.n] = time.time()
            else:
                self.refused.append(line.decode().strip())

    async def stop(self):
        self.task.cancel()
        process, self.process = self.process, None
        if process is not None:
            kill(process)
            await process.wait()


class Mesh(System):
    name, title = "tidings", "tidings, node killed"
    tells_staleness = True
    settings = ("three tidingsd with real keys, roster, links and logs; publish with defaults: confirmed once durable on one node",
                f"the node of {VICTIM} is killed with -9 for the whole outage, then started again on its disk",
                "workers and readers name their own region's node first and the others after it")

    def __init__(self, where, options):
        super().__init__(where, options)
        self.tool, self.cluster = f"{options.bin}/tidings", f"{where}/c" # short: a socket's path has little room
        self.watchers, self.seen = [], {r: {} for r in REGIONS}
        self.limit_n, self.late, self.late_jobs = None, dict.fromkeys(REGIONS, 0), set()
        self.confirmed = {}

    async def shell(self, script):
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", SHELL + script, self.options.top, self.cluster, self.options.bin, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        out, _ = await process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"{script}: {out.decode()}")

    def socket(self, region):
        return f"ipc://{self.cluster}/{region}/tidings.sock"

    def nodes(self, region):
        return ",".join([self.socket(region)] + [self.socket(r) for r in REGIONS if r != region])

    async def setup(self):
        with open(f"{self.options.state}/ports.lock", "w", encoding="utf-8") as lock: # two clusters must not choose the same ports
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            await self.shell(f"cluster_make {' '.join(REGIONS)}; cluster_start")
        self.watchers = [asyncio.create_task(self.follow(r)) for r in REGIONS]

    async def follow(self, region):
        """Counts what reaches this region's own node after the heal, as `watch` shows it."""
        while True:
            process = await asyncio.create_subprocess_exec(
                self.tool, "-n", self.socket(region), "watch", "--from", "start", "--prefix", "inc/", "-o", "jsonl",
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
            try:
                async for line in process.stdout:
                    change = json.loads(line)
                    job, detail = change.get("job"), change.get("detail")
                    if not isinstance(job, str) or not detail:
                        continue
                    n = int(detail[1:])
                    if n <= self.seen[region].get(job, -1):
                        continue
                    self.seen[region][job] = n
                    if self.limit_n is not None and n < self.limit_n:
                        self.late[region] += 1
                        self.late_jobs.add((region, job))
            finally:
                kill(process)
                await process.wait()
            await asyncio.sleep(0.1) # its node is away; tried again like any client would

    def worker(self, index, region):
        return LineWorker(self, region)

    async def outage(self):
        await self.shell(f"stop_node {VICTIM} -KILL")

    async def heal(self, n):
        self.limit_n = n
        await self.shell(f"start_node {VICTIM}")

    async def list(self, nodes):
        process = await asyncio.create_subprocess_exec(
            self.tool, "-n", nodes, "list", "--prefix", "inc/", "-o", "json", "--max-stale", f"{self.options.max_stale}s",
            "--timeout", "2s", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
        out, _ = await process.communicate()
        return json.loads(out) if process.returncode in (0, 5) and out else None

    async def read(self, region):
        answer = await self.list(self.nodes(region))
        if answer is None:
            return None
        fresh = {r["region"]: (epoch(r["complete_until"]), r["age_seconds"]) for r in answer["freshness"]["regions"]}
        return {j["id"]: (int(j["detail"][1:]), j["state"]) for j in answer["jobs"] if j["detail"]}, fresh

    async def finish(self):
        """Through which region each job's last word came: whose freshness a reader had to look at."""
        answer = await self.list(self.nodes(REGIONS[1]))
        if answer is None:
            raise RuntimeError("no node answers at the end")
        self.origins = {j["id"]: j["origin"] for j in answer["jobs"]}

    def moved(self):
        return sum(self.late.values()), len(self.late_jobs)

    async def teardown(self):
        for task in self.watchers:
            task.cancel()
        await asyncio.gather(*self.watchers, return_exceptions=True)
        if os.path.exists(f"{self.cluster}/regions"):
            await self.shell("stop_all")


class MeshCut(Mesh):
    name, title = "tidings-cut", "tidings, region cut off"
    settings = (Mesh.settings[0],
                f"all links of {VICTIM} are cut for the whole outage; its node, workers and readers go on alone",
                Mesh.settings[2])

    async def outage(self):
        await self.shell("; ".join(f"await 20 'the link is cut' cut_link {VICTIM} {r}" for r in REGIONS[1:]))

    async def heal(self, n):
        self.limit_n = n
        await self.shell("; ".join(f"await 20 'the link heals' heal_link {VICTIM} {r}" for r in REGIONS[1:]))
