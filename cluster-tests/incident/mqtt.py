"""mqtt.py -- MQTT 3.1.1 with persistent sessions and QoS 1: Mosquitto, and RabbitMQ through its plugin."""
import asyncio
import os
import struct

from system import Broker, Link, free_port

TOPIC = b"status/update"


def text(data):
    return struct.pack(">H", len(data)) + data


def packet(kind, body):
    size, head = len(body), bytearray([kind])
    while True:
        size, digit = size >> 7, size & 0x7F
        head.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(head) + body


class Mqtt(Link):
    def __init__(self, port, client, keep):
        super().__init__(port)
        self.client, self.keep = client, keep

    async def open(self):
        await self.connect()
        flags = 0 if self.keep else 2 # clean session
        self.write(packet(0x10, text(b"MQTT") + struct.pack(">BBH", 4, flags, 60) + text(self.client.encode())))
        kind, body = await self.packet()
        if kind != 0x20 or body[1] != 0:
            raise ValueError("connection refused")

    async def packet(self):
        kind = (await self.reader.readexactly(1))[0]
        size = shift = 0
        while True:
            digit = (await self.reader.readexactly(1))[0]
            size |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                return kind & 0xF0, await self.reader.readexactly(size)

    async def send(self, bodies):
        for i, body in enumerate(bodies):
            self.write(packet(0x32, text(TOPIC) + struct.pack(">H", i + 1) + body))
        left = len(bodies)
        while left:
            kind, _ = await self.packet()
            left -= kind == 0x40

    async def consume(self, apply, ready):
        self.write(packet(0x82, struct.pack(">H", 1) + text(TOPIC) + b"\x01"))
        keep_alive = asyncio.create_task(self.ping())
        try:
            while True:
                kind, body = await self.packet()
                if kind == 0x90:
                    ready()
                elif kind == 0x30:
                    start = 2 + struct.unpack_from(">H", body)[0]
                    apply(body[start + 2:])
                    self.write(packet(0x40, body[start:start + 2]))
        finally:
            keep_alive.cancel()

    async def ping(self):
        while True:
            await asyncio.sleep(20)
            self.write(b"\xc0\0")


class MqttBroker(Broker):
    def worker_link(self, index):
        return Mqtt(self.main_road.port, f"worker-{index}-{id(self)}", keep=False)

    def consumer_link(self, region):
        return Mqtt(self.main_road.port, f"region-{region}", keep=True)


class Mosquitto(MqttBroker):
    name, title = "mosquitto", "Mosquitto (MQTT, QoS 1)"
    program = package = "mosquitto"
    settings = ("QoS 1 both ways, persistent session per region, persistence on",
                "queue per session unlimited (its default of 1000 messages would drop here)")

    async def launch(self):
        with open(f"{self.where}/mosquitto.conf", "w", encoding="utf-8") as f:
            f.write(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
                    f"persistence_location {self.where}/\nmax_queued_messages 0\nmax_inflight_messages 0\n")
            if os.geteuid() == 0:
                f.write("user root\n")
        await self.spawn("mosquitto", "-c", f"{self.where}/mosquitto.conf")


class RabbitMq(MqttBroker):
    name, title = "rabbitmq", "RabbitMQ (durable queues)"
    program, package = "rabbitmq-server", "rabbitmq-server"
    start_seconds = 60
    settings = ("one durable queue per region bound to one exchange, messages persistent, publishes confirmed, manual acks",
                "spoken to through its MQTT plugin (QoS 1), which maps to exactly these queues")

    async def launch(self):
        self.epmd_port = free_port()
        node = f"incident{self.port}@localhost"
        with open(f"{self.where}/rabbitmq.conf", "w", encoding="utf-8") as f:
            f.write(f"listeners.tcp.1 = 127.0.0.1:{free_port()}\nmqtt.listeners.tcp.1 = 127.0.0.1:{self.port}\n"
                    "mqtt.allow_anonymous = true\nmqtt.prefetch = 1000\n")
        with open(f"{self.where}/enabled_plugins", "w", encoding="utf-8") as f:
            f.write("[rabbitmq_mqtt].\n")
        open(f"{self.where}/env.conf", "w", encoding="utf-8").close()
        env = dict(os.environ, HOME=self.where, RABBITMQ_NODENAME=node, RABBITMQ_CONFIG_FILE=f"{self.where}/rabbitmq.conf",
                   RABBITMQ_CONF_ENV_FILE=f"{self.where}/env.conf", RABBITMQ_MNESIA_BASE=f"{self.where}/mnesia",
                   RABBITMQ_LOG_BASE=self.where, RABBITMQ_ENABLED_PLUGINS_FILE=f"{self.where}/enabled_plugins",
                   RABBITMQ_DIST_PORT=str(free_port()), ERL_EPMD_PORT=str(self.epmd_port), ERL_EPMD_ADDRESS="127.0.0.1",
                   RABBITMQ_PID_FILE=f"{self.where}/pid", ERL_AFLAGS="-kernel inet_dist_use_interface {127,0,0,1}")
        self.env = env
        await self.spawn("/usr/lib/rabbitmq/bin/rabbitmq-server", env=env)

    async def teardown(self):
        await super().teardown()
        stop = await asyncio.create_subprocess_exec("epmd", "-port", str(self.epmd_port), "-kill", env=self.env,
                                                    stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
        await stop.wait()
