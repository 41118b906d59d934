"""system.py -- what a system under test must offer, and what all brokers share: the network to the
broker's host, workers with a bounded buffer, one consumer and one status table per region."""
import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from collections import deque

from script import REGIONS, FINAL

ERRORS = (OSError, EOFError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError, KeyError)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def kill(process):
    """Not process.kill(): that collects the exit code before asyncio does, which then complains."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


async def until(what, seconds, check):
    """Awaits check() being true; says what was awaited when it never is."""
    end = time.time() + seconds
    while not await check():
        if time.time() > end:
            raise RuntimeError(f"timed out: {what}")
        await asyncio.sleep(0.05)


async def listens(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    except OSError:
        return False


class Road:
    """The way from all regions to the broker's host. Cut, every connection ends at once and none opens:
    kinder to clients than the silence of a real cut, which they notice only by time-out."""

    def __init__(self, target):
        self.target, self.port = target, free_port()
        self.server, self.open, self.bytes = None, set(), 0

    async def start(self):
        self.server = await asyncio.start_server(self.carry, "127.0.0.1", self.port, limit=1 << 20)

    async def carry(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target, limit=1 << 20)
        except OSError:
            writer.close()
            return
        self.open |= {writer, far_writer}
        await asyncio.gather(self.pump(reader, far_writer), self.pump(far_reader, writer))
        self.open -= {writer, far_writer}

    async def pump(self, reader, writer):
        try:
            while data := await reader.read(65536):
                self.bytes += len(data)
                writer.write(data)
                await writer.drain()
        except ERRORS:
            pass
        writer.close()

    async def stop(self):
        if self.server is not None:
            self.server.close()
            self.server = None
        for writer in list(self.open):
            writer.transport.abort()


class Worker:
    """Reports updates in order; keeps what is not confirmed in memory, up to a bound, until it is. What
    subclasses add is the sending: run() and accepted()."""
    grace_seconds = 2.0 # a process that is told to end may first send what it holds

    def __init__(self, bound):
        self.bound, self.buffer, self.held = bound, deque(), None
        self.dropped, self.lost_in_restart, self.task = 0, 0, None

    def start(self):
        self.task = asyncio.create_task(self.run())

    def offer(self, update):
        if self.held is not None: # for the process that comes next
            self.held.append(update)
        elif len(self.buffer) >= self.bound:
            self.dropped += 1 # as client libraries do: the new one is refused
        else:
            self.buffer.append(update)
            self.accepted(update)

    async def restart(self):
        """The process is replaced: what it could not send in its grace period is gone with it."""
        self.held = []
        end = time.time() + self.grace_seconds
        while self.buffer and time.time() < end:
            await asyncio.sleep(0.02)
        await self.stop()
        self.lost_in_restart += len(self.buffer)
        self.buffer = deque(self.held)
        self.held = None
        self.start()

    async def stop(self):
        self.task.cancel()


class LinkWorker(Worker):
    """Sends over a connection to the broker; tries again with a usual back-off."""

    def __init__(self, make_link, bound):
        super().__init__(bound)
        self.make_link, self.wake = make_link, asyncio.Event()

    def accepted(self, update):
        self.wake.set()

    async def run(self):
        pause = 0.1
        while True:
            link = self.make_link()
            try:
                async with asyncio.timeout(2):
                    await link.open()
                pause = 0.1
                while True:
                    while not self.buffer:
                        self.wake.clear()
                        await self.wake.wait()
                    batch = [self.buffer[i] for i in range(min(64, len(self.buffer)))]
                    async with asyncio.timeout(5):
                        await link.send([u.line().encode() for u in batch])
                    for _ in batch:
                        self.buffer.popleft()
            except ERRORS:
                await asyncio.sleep(pause)
                pause = min(1.0, pause * 2)
            finally:
                link.close()


class Link:
    """One connection of a client. Subclasses speak the broker's protocol."""

    def __init__(self, port):
        self.port, self.reader, self.writer, self.waiting = port, None, None, []

    async def connect(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)

    def write(self, data):
        """Goes out with everything else that is written until the loop runs next: one system call."""
        if not self.waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self.waiting.append(data)

    def flush(self):
        self.writer.write(b"".join(self.waiting))
        self.waiting.clear()

    def close(self):
        if self.writer is not None:
            self.writer.close()


class Table:
    """The status table of one region as its consumer keeps it: a newer report wins over an older one."""

    def __init__(self):
        self.shown, self.count = {}, 0
        self.late, self.late_jobs, self.limit_n = 0, set(), None

    def apply(self, body):
        update = json.loads(body)
        n, job = update["n"], update["job"]
        self.count += 1
        if self.limit_n is not None and n < self.limit_n:
            self.late += 1
            self.late_jobs.add(job)
        old = self.shown.get(job)
        if old is None or old[0] < n:
            self.shown[job] = (n, update["state"])


class System:
    """A system under test. read() gives ({job: (n, state)}, freshness) or None when nothing answers;
    freshness is {region: complete-until} with the age of each, or None where the system cannot tell."""
    name = title = ""
    tells_staleness = False
    settings = ()

    def __init__(self, where, options):
        self.where, self.options = where, options
        os.makedirs(where, exist_ok=True)
        self.origins = {}


class Broker(System):
    """One broker on one host; every region reaches it over the same road."""
    common = ("workers keep up to {buffer} unconfirmed updates in memory, retry with 0.1 to 1 s back-off, keep order",
              "one consumer per region applies to a table there; readers poll that table",
              "the broker's host is unreachable, the broker itself goes on: no crash, no unflushed data lost")
    start_seconds = 20

    def __init__(self, where, options):
        super().__init__(where, options)
        self.port = free_port()
        self.process, self.roads, self.tables, self.consumers = None, [], {r: Table() for r in REGIONS}, []
        self.subscribed = set()

    def road(self, port):
        road = Road(port)
        self.roads.append(road)
        return road

    async def spawn(self, *command, env=None):
        log = open(f"{self.where}/log", "wb")
        self.process = await asyncio.create_subprocess_exec(
            *command, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL, cwd=self.where, env=env,
            start_new_session=True)
        log.close()

    async def setup(self):
        await self.launch()
        await until(f"{self.name} listens", self.start_seconds, lambda: listens(self.port))
        self.main_road = self.road(self.port)
        for road in self.roads:
            await road.start()
        self.consumers = [asyncio.create_task(self.consume_on(r)) for r in REGIONS]

        async def all_subscribed():
            return len(self.subscribed) == len(REGIONS)
        await until(f"consumers of {self.name} are subscribed", self.start_seconds, all_subscribed)

    async def consume_on(self, region):
        """Connects for ever: a client's usual back-off between tries."""
        pause = 0.1
        while True:
            link = self.consumer_link(region)
            try:
                async with asyncio.timeout(2):
                    await link.open()
                pause = 0.1
                await link.consume(self.tables[region].apply, lambda: self.subscribed.add(region))
            except ERRORS:
                await asyncio.sleep(pause)
                pause = min(1.0, pause * 2)
            finally:
                link.close()

    def worker(self, index, region):
        return LinkWorker(lambda: self.worker_link(index), self.options.buffer)

    async def outage(self):
        for road in self.roads:
            await road.stop()

    async def heal(self, n):
        for table in self.tables.values():
            table.limit_n = n
        for road in self.roads:
            await road.start()

    async def read(self, region):
        return dict(self.tables[region].shown), None

    def moved(self):
        """After the heal: messages that reached regions, and how many jobs they were about."""
        return (sum(t.late for t in self.tables.values()), sum(len(t.late_jobs) for t in self.tables.values()))

    async def teardown(self):
        for task in self.consumers:
            task.cancel()
        for road in self.roads:
            await road.stop()
        if self.process is not None and self.process.returncode is None:
            os.kill(self.process.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), 10)
            except asyncio.TimeoutError:
                kill(self.process)


def is_final(state):
    return state in FINAL
