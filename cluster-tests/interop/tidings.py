"""tidings.py -- a client of tidings written from docs/PROTOCOL.md alone: numbers in comments are sections
of that page. It shares no code with the product, so what it cannot do the page does not say.

Needs python3-msgpack and python3-nacl. Blocking, one connection, no fail-over: see libtidings for that."""
import base64
import hashlib
import os
import socket
import struct

import msgpack
import nacl.exceptions
import nacl.signing
from nacl import bindings

import noise

# 4
ROSTER, PING, PONG, BYE, REQUEST, RESPONSE = 1, 2, 3, 4, 64, 65
# 5
STATES = ["pending", "starting", "running", "stopping", "lost", "completed", "failed", "stopped"]
# 13
PUBLISH, GET, LIST, WATCH, EXPLAIN, STATUS = 1, 2, 3, 4, 5, 6
CANCEL = 11
FIELD_PROGRESS, FIELD_DETAIL, FIELD_PARENT, FIELD_LABELS, FIELD_WRITER, FIELD_EXPECT = 1, 2, 4, 8, 16, 32
FROM_NOW = 2**64 - 1
NOTHING_SEEN = [0, 0, 0, 0, 0, 0, 0]
FRAME_MAX = 2**20 + 2**16  # 15
VERSION = 1


class Refused(Exception):
    """An error number of section 15."""

    def __init__(self, number, message=""):
        super().__init__(f"TD-E{number:04d} {message}")
        self.number = number


def require(condition, number, message):
    if not condition:
        raise Refused(number, message)


# 1 --------------------------------------------------------------------------------------------------
def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def unpack(data):
    """Later fields and forms beyond section 1 do not occur in what a correct node sends a client."""
    value = msgpack.unpackb(data, raw=False, strict_map_key=True)
    require(isinstance(value, list) and pack(value) == data, 120, "not the one form of section 1")
    return value


def maybe(value):
    return value[0] if value else None


def groups(flat, size):
    require(len(flat) % size == 0, 120, "a flat list of a wrong length")
    return [tuple(flat[i:i + size]) for i in range(0, len(flat), size)]


# 2 --------------------------------------------------------------------------------------------------
def blake(data, size, key=b""):
    return hashlib.blake2b(data, digest_size=size, key=key).digest()


def text_bytes(text, prefix, size):
    require(text.startswith(prefix), 202, f"not a {prefix} text")
    data = base64.urlsafe_b64decode(text[len(prefix):] + "=" * (-len(text[len(prefix):]) % 4))
    require(len(data) == size + 4, 202, "wrong length")
    require(blake(prefix.encode() + data[:size], 32)[:4] == data[size:], 202, "wrong checksum")
    return data[:size]


def public_identity(text):
    """(Ed25519 key, X25519 key) of a tdpk1: text."""
    both = text_bytes(text.strip(), "tdpk1:", 64)
    return both[:32], both[32:]


class Identity:
    """A seed, tdsk1: text."""

    def __init__(self, text):
        seed = text_bytes(text.strip(), "tdsk1:", 32)
        self.sign_public = nacl.signing.SigningKey(blake(b"tidings/sign/1", 32, seed)).verify_key.encode()
        self.link_secret = blake(b"tidings/link/1", 32, seed)
        self.link_public = bindings.crypto_scalarmult_base(self.link_secret)

    def public_text(self):
        both = self.sign_public + self.link_public
        checksum = blake(b"tdpk1:" + both, 32)[:4]
        return "tdpk1:" + base64.urlsafe_b64encode(both + checksum).decode().rstrip("=")


def cluster_id(root_sign):
    return blake(root_sign, 16)


def verify(key, context, data, signature):
    try:
        nacl.signing.VerifyKey(key).verify(context + b"\x00" + data, signature)
    except nacl.exceptions.BadSignatureError:
        raise Refused(213, "bad signature") from None


def register_hash(job, attempt):
    """As tokens name a register (12): without the cluster, 53 bits."""
    return job_register_hash(bytes(16), job, attempt) & (2**53 - 1) or 1


def job_register_hash(cluster, job, attempt):
    mask = 2**64 - 1
    x = int.from_bytes(bindings.crypto_shorthash_siphash24(job.encode(), cluster), "little")
    x ^= (attempt * 0x9E3779B97F4A7C15) & mask
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & mask
    x ^= x >> 31
    return x or 1


# 3 --------------------------------------------------------------------------------------------------
def check_card(signed, root_sign, static):
    """10: root signature, cluster, and that its link key is the responder's static key."""
    card_bytes, signature = unpack(signed)
    verify(root_sign, b"tidings/card/1", card_bytes, signature)
    card = unpack(card_bytes)
    require(card[0] == 1 and card[1] == cluster_id(root_sign), 214, "a card of another cluster")
    require(card[5] == static, 503, "the card names another link key")
    return {"region": card[2], "roster": card[6]}


class Stream:
    """A socket that frames can be read from and written to, in the clear (a Unix socket, kind 3)."""

    def __init__(self, stream):
        self.socket, self.buffer = stream, b""

    def raw(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            require(more, 502, "the node closed the connection")
            data += more
        return data

    def more(self):
        data = self.socket.recv(65536)
        require(data, 502, "the node closed the connection")
        return data

    def write(self, data):
        self.socket.sendall(data)

    def read(self, size):
        while len(self.buffer) < size:
            self.buffer += self.more()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data


class NoiseStream(Stream):
    """Kind 2: a remote client over TCP."""

    def __init__(self, stream, identity, root_sign):
        super().__init__(stream)
        preamble = b"TIDINGS" + bytes([1, 2])
        handshake = noise.Initiator(preamble + cluster_id(root_sign), identity.link_secret)
        self.socket.sendall(preamble + self.prefixed(handshake.message_1()))
        payload = unpack(handshake.read_message_2(self.raw(struct.unpack(">H", self.raw(2))[0])))
        require(payload[0] <= VERSION <= payload[1], 122, "no version in common")
        self.card = check_card(payload[2], root_sign, handshake.remote_static) if payload[2] else None
        message, self.ours, self.theirs = handshake.message_3(pack([VERSION, VERSION]))
        self.socket.sendall(self.prefixed(message))

    @staticmethod
    def prefixed(message):
        return struct.pack(">H", len(message)) + message

    def more(self):
        return self.theirs.open(self.raw(struct.unpack(">H", self.raw(2))[0]))

    def write(self, data):
        step = noise.RECORD_MAX - noise.TAG
        self.socket.sendall(b"".join(self.ours.seal(data[i:i + step]) for i in range(0, len(data), step)))


# 12 -------------------------------------------------------------------------------------------------
class Token:
    """What its holder has seen: (register hash, seen) of one register, and a vector."""

    def __init__(self, register=0, seen=None, vector=None):
        self.register, self.seen, self.vector = register, seen or NOTHING_SEEN, vector or [[], []]

    def text(self):
        data = pack([[self.register] + self.seen, self.vector])
        return "tdt1:" + base64.urlsafe_b64encode(data).decode().rstrip("=")

    @staticmethod
    def parse(text):
        require(text.startswith("tdt1:"), 110, "not a token")
        first, vector = unpack(base64.urlsafe_b64decode(text[5:] + "=" * (-len(text[5:]) % 4)))
        return Token(first[0], first[1:], vector)


# 14 -------------------------------------------------------------------------------------------------
REGISTER_FIELDS = ("job attempt flags client state progress detail parent labels writer expect_every times ms counter "
                   "region start random seq clock losers arrival silent leaf").split()
RESULT_FIELDS = ("error attempt ms counter region start random seq rank noop acked "
                 "current_state current_ms current_counter").split()


def rank(state):
    return 2 if state >= 5 else 1 if state == 4 else 0


class Answer:
    """A RESPONSE."""

    def __init__(self, payload):
        (self.id, self.op, self.error, self.message, self.region, self.node, self.cluster_name, self.now_ms,
         self.start, self.random, self.has, self.certain, self.fresh, names, self.body, *said) = unpack(payload)
        require(len(said) <= 1 and said != [0], 120, "an answer of 15 or 16 fields")
        self.stale_ms = said[0] if said else 30000
        self.names = {number: name for number, name in names}

    def registers(self):
        return [dict(zip(REGISTER_FIELDS, row, strict=True)) for row in self.body[0]]

    def results(self):
        return [dict(zip(RESULT_FIELDS, row, strict=True)) for row in self.body[0]]


class Client:
    """One connection: ipc://PATH, or tcp://HOST:PORT with a key's text and the root's public text."""

    def __init__(self, url, key=None, root=None, timeout_s=10):
        self.root_sign = None
        if url.startswith("ipc://"):
            stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            stream.settimeout(timeout_s)
            stream.connect(url[6:])
            stream.sendall(b"TIDINGS" + bytes([1, 3]))
            self.stream = Stream(stream)
        else:
            host, _, port = url[6:].rpartition(":")
            stream = socket.create_connection((host, int(port)), timeout_s)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.root_sign = public_identity(root)[0]
            try:
                self.stream = NoiseStream(stream, Identity(key), self.root_sign)
            except Exception:
                stream.close()
                raise
        self.timeout_ms = int(timeout_s * 1000)
        self.next_id = int.from_bytes(os.urandom(4), "big")
        self.waiting = {}
        self.roster = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stream.socket.close()

    def ping(self, nonce):
        """The answer's payload: the same nonce."""
        self.send_frame(PING, pack([nonce]))
        kind, payload = self.read_frame()
        while kind != PONG:
            kind, payload = self.read_frame()
        return unpack(payload)[0]

    # 4
    def send_frame(self, kind, payload):
        self.stream.write(struct.pack(">IB", 1 + len(payload), kind) + payload)

    def read_frame(self):
        size = struct.unpack(">I", self.stream.read(4))[0]
        require(1 <= size <= 1 + FRAME_MAX, 121, "a frame too large")
        data = self.stream.read(size)
        return data[0], data[1:]

    def next_response(self):
        while True:
            kind, payload = self.read_frame()
            if kind == PING:
                self.send_frame(PONG, payload)
            elif kind == BYE:
                raise Refused(unpack(payload)[0], "the node ended the link")
            elif kind == ROSTER:
                self.roster = payload
            elif kind == RESPONSE:
                return Answer(payload)

    # 13
    def send(self, op, body, after=None, timeout_ms=None):
        self.next_id += 1
        timeout_ms = self.timeout_ms if timeout_ms is None else timeout_ms
        vector = after.vector if after else [[], []]
        self.send_frame(REQUEST, pack([self.next_id, op, timeout_ms, vector, body]))
        return self.next_id

    def answer_to(self, number):
        while not self.waiting.get(number):
            answer = self.next_response()
            self.waiting.setdefault(answer.id, []).append(answer)
        return self.waiting[number].pop(0)

    def ask(self, op, body, after=None, timeout_ms=None):
        answer = self.answer_to(self.send(op, body, after, timeout_ms))
        if answer.error:
            raise Refused(answer.error, answer.message)
        return answer

    def publish(self, job, state, ack=0, after=None, **fields):
        """Returns the result and a token."""
        answer = self.ask(PUBLISH, [ack, [update(job, state, after, **fields)]], after)
        result = answer.results()[0]
        if result["error"]:
            raise Refused(result["error"], job)
        seen = [result[name] for name in ("rank", "ms", "counter", "region", "start", "random", "seq")]
        return result, Token(register_hash(job, result["attempt"]), seen, answer.has)

    def get(self, job, attempt=0, all_attempts=False, after=None, timeout_ms=None):
        """Returns the answer and the registers, the highest attempt first."""
        answer = self.ask(GET, [job, attempt, int(all_attempts)], after, timeout_ms)
        return answer, answer.registers()

    def list(self, prefix="", states=(), limit=1000):
        cursor, found = 0, []
        while True:
            answer = self.ask(LIST, [job_filter(prefix, states), limit, cursor])
            found += answer.registers()
            cursor = answer.body[1]
            if cursor == 0:
                return found

    def watch(self, prefix="", place=(FROM_NOW, 0, 0), after=None, timeout_ms=0, limit=1000):
        """Returns the registers that changed, whether it began anew, and the place to go on from."""
        answer = self.ask(WATCH, [job_filter(prefix), limit, *place], after, timeout_ms)
        return answer.registers(), bool(answer.body[2]), (answer.body[1], answer.start, answer.random), answer.has


def job_filter(prefix="", states=()):
    return [sum(1 << STATES.index(state) for state in states), 0, prefix, 0, 0, 0, []]


def update(job, state, after=None, attempt=0, correct=False, progress=None, detail=None, parent=None, labels=None,
           writer=None, expect_every=None, times=()):
    """The 13 fields of an update; what is None is carried forward."""
    given = [(FIELD_PROGRESS, progress), (FIELD_DETAIL, detail), (FIELD_PARENT, parent), (FIELD_LABELS, labels),
             (FIELD_WRITER, writer), (FIELD_EXPECT, expect_every)]
    flat = [text for pair in sorted((labels or {}).items(), key=lambda pair: pair[0].encode()) for text in pair]
    return [job, attempt, int(correct), sum(bit for bit, value in given if value is not None), STATES.index(state),
            [] if progress is None else [progress], detail or "", parent or "", flat, writer or "",
            expect_every or 0, list(times), after.seen if after and after.register else NOTHING_SEEN]
