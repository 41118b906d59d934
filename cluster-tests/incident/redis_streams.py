"""redis_streams.py -- Redis as a durable stream with one consumer group per region, spoken to in RESP."""
from system import Broker, Link

STREAM = "status"


class Resp(Link):
    async def open(self):
        await self.connect()

    def command(self, *words):
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.write(b"".join(parts))

    async def answer(self):
        line = (await self.reader.readuntil(b"\r\n"))[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else (await self.reader.readexactly(size + 2))[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [await self.answer() for _ in range(int(rest))]
        if kind == b"-" and not rest.startswith(b"BUSYGROUP"):
            raise ValueError(rest.decode())
        return rest

    async def call(self, *words):
        self.command(*words)
        return await self.answer()

    async def send(self, bodies):
        for body in bodies:
            self.command("XADD", STREAM, "*", "d", body)
        for _ in bodies:
            await self.answer()


class Group(Resp):
    def __init__(self, port, region):
        super().__init__(port)
        self.region = region

    async def consume(self, apply, ready):
        await self.call("XGROUP", "CREATE", STREAM, self.region, "0", "MKSTREAM")
        ready()
        after = "0" # first what was handed out and not confirmed before the connection ended
        while True:
            found = await self.call("XREADGROUP", "GROUP", self.region, "c", "COUNT", 500, "BLOCK", 1000,
                                    "STREAMS", STREAM, after)
            entries = found[0][1] if found else []
            for _, fields in entries:
                apply(fields[1])
            if entries:
                await self.call("XACK", STREAM, self.region, *[entry[0] for entry in entries])
            else:
                after = ">"


class Redis(Broker):
    name, title = "redis", "Redis streams"
    program = package = "redis-server"
    settings = ("stream with one consumer group per region, XADD confirmed, XREADGROUP and XACK",
                "append-only file, flushed every second (Redis' own default for it)")

    async def launch(self):
        await self.spawn("redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.where,
                         "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--daemonize", "no")

    def worker_link(self, index):
        return Resp(self.main_road.port)

    def consumer_link(self, region):
        return Group(self.main_road.port, region)
