"""nats_stream.py -- NATS with JetStream: a stream in files, one durable pull consumer per region."""
import asyncio
import itertools
import json

from system import Broker, Link

INBOXES = itertools.count(1)
STREAM, SUBJECT = "STATUS", "status.update"


class Nats(Link):
    async def open(self):
        await self.connect()
        await self.reader.readuntil(b"\r\n") # INFO
        self.inbox = f"_INBOX.{next(INBOXES)}" # never used twice: late answers would look like ours
        self.write(b'CONNECT {"verbose":false,"pedantic":false,"lang":"python","version":"1"}\r\n'
                          + f"SUB {self.inbox}.* 1\r\nPING\r\n".encode())
        await self.message_or_pong()

    async def message_or_pong(self):
        """(reply subject, headers, body) of the next message, or None at a PONG."""
        while True:
            line = (await self.reader.readuntil(b"\r\n"))[:-2]
            words = line.split()
            if not words:
                continue
            if words[0] == b"PING":
                self.write(b"PONG\r\n")
            elif words[0] == b"PONG":
                return None
            elif words[0] == b"-ERR":
                raise ValueError(line.decode())
            elif words[0] in (b"MSG", b"HMSG"):
                head = int(words[-2]) if words[0] == b"HMSG" else 0
                reply = words[3] if len(words) > (4 if words[0] == b"MSG" else 5) else None
                data = (await self.reader.readexactly(int(words[-1]) + 2))[:-2]
                return reply, data[:head], data[head:]

    def publish(self, subject, body, reply=""):
        self.write(f"PUB {subject} {reply} {len(body)}\r\n".encode() + body + b"\r\n")

    async def ask(self, subject, request):
        self.publish(subject, json.dumps(request).encode(), f"{self.inbox}.a")
        _, _, body = await self.message_or_pong()
        answer = json.loads(body)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    async def send(self, bodies):
        for body in bodies:
            self.publish(SUBJECT, body, f"{self.inbox}.p")
        for _ in bodies:
            _, headers, body = await self.message_or_pong()
            if headers or "error" in json.loads(body):
                raise ValueError("not stored")


class Pull(Nats):
    def __init__(self, port, region):
        super().__init__(port)
        self.region = region

    async def consume(self, apply, ready):
        await self.ask(f"$JS.API.CONSUMER.DURABLE.CREATE.{STREAM}.{self.region}", {
            "stream_name": STREAM, "config": {"durable_name": self.region, "ack_policy": "explicit",
                                              "deliver_policy": "all", "ack_wait": 2 * 10**9,
                                              "max_ack_pending": 5000}})
        ready()
        while True:
            self.publish(f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{self.region}",
                         json.dumps({"batch": 500, "expires": 10**9}).encode(), f"{self.inbox}.m")
            got = 0
            while got < 500:
                reply, headers, body = await self.message_or_pong()
                if headers: # the request ran out
                    break
                apply(body)
                self.publish(reply.decode(), b"+ACK")
                got += 1


class NatsStream(Broker):
    name, title = "nats", "NATS JetStream"
    program = package = "nats-server"
    settings = ("JetStream stream in files, publish confirmed, one durable pull consumer per region, explicit acks",)

    async def launch(self):
        with open(f"{self.where}/nats.conf", "w", encoding="utf-8") as f:
            f.write(f'listen: 127.0.0.1:{self.port}\njetstream {{ store_dir: "{self.where}/js" }}\n')
        await self.spawn("nats-server", "-c", f"{self.where}/nats.conf")

    async def setup(self):
        self.stream_task = asyncio.create_task(self.make_stream())
        await super().setup()
        await self.stream_task

    async def make_stream(self):
        while True:
            link = Nats(self.port)
            try:
                await link.open()
                await link.ask(f"$JS.API.STREAM.CREATE.{STREAM}", {"name": STREAM, "subjects": ["status.>"], "storage": "file"})
                return
            except (OSError, ValueError, EOFError):
                await asyncio.sleep(0.1)
            finally:
                link.close()

    def worker_link(self, index):
        return Nats(self.main_road.port)

    def consumer_link(self, region):
        return Pull(self.main_road.port, region)
