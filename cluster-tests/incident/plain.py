"""plain.py -- the relay of relay.c and NNG's wire format (SP over TCP): header once, then length and body."""
import struct

from system import Broker, Link, free_port


class SpLink(Link):
    def __init__(self, port, protocol):
        super().__init__(port)
        self.protocol = protocol

    async def open(self):
        await self.connect()
        self.write(b"\0SP\0" + struct.pack(">HH", self.protocol, 0))
        if (await self.reader.readexactly(8))[:4] != b"\0SP\0":
            raise ValueError("not an SP peer")

    async def message(self):
        size, = struct.unpack(">Q", await self.reader.readexactly(8))
        return await self.reader.readexactly(size)

    async def send(self, bodies):
        """Requests, pipelined: the id is ours to choose, the answer carries it back."""
        self.write(b"".join(struct.pack(">QI", 4 + len(b), 0x80000000 | i) + b for i, b in enumerate(bodies)))
        for _ in bodies:
            await self.message()

    async def consume(self, apply, ready):
        ready()
        while True:
            apply(await self.message())


class Plain(Broker):
    name, title = "plain", "plain relay (NNG pub/sub)"
    settings = ("built in: one process, request in, pub/sub out, nothing kept",
                "workers wait for its confirmation; a region that is not connected misses what is published")

    async def launch(self):
        self.out_port = free_port()
        self.out_road = self.road(self.out_port)
        await self.spawn(f"{self.options.bin}/incident-relay", f"tcp://127.0.0.1:{self.port}",
                         f"tcp://127.0.0.1:{self.out_port}")

    def worker_link(self, index):
        return SpLink(self.main_road.port, 0x30)

    def consumer_link(self, region):
        return SpLink(self.out_road.port, 0x21)
