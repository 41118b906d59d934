#!/usr/bin/python3
"""Writes refused.txt: what accepted vectors become when their form is another than the one of PROTOCOL
section 1, and signatures that lax libraries take. Made from the other files of this folder and from the
text of PROTOCOL alone.

Run: refused.py > refused.txt (the output is always the same). Needs python3-nacl for one public key."""
import hashlib
import os

from nacl import bindings

HERE = os.path.dirname(os.path.abspath(__file__))
FORMAT, TOKEN, LABELS, BADSIG = 120, 110, 106, 213
ORDER = 2**252 + 27742317777372353535851937790883648493


def records(name):
    """The records of a file as dictionaries."""
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        for block in file.read().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and line[0] != "#")
            if "hex" in fields:
                fields["bytes"] = bytes.fromhex(fields["hex"])
                yield fields


def emit(name, like, data, verdict, **more):
    print(f"\nname: {name}\nkind: {like['kind']}")
    if "type" in like:
        print(f"type: {like['type']}")
    for label, value in more.items():
        print(f"{label}: {value}")
    print(f"hex: {data.hex()}\nverdict: TD-E{verdict:04d}")


def nested(levels):
    return b"\x91" * (levels - 1) + b"\x90"


def other_forms(vector, verdict):
    """The same fields in a form that is not theirs. The top is an array of at most 15."""
    data = vector["bytes"]
    count = data[0] & 0x0F
    assert data[0] & 0xF0 == 0x90
    what = vector["kind"] + (f" {vector['type']}" if "type" in vector else "")
    emit(f"{what}: trailing byte", vector, data + b"\x00", verdict)
    emit(f"{what}: last byte missing", vector, data[:-1], verdict)
    emit(f"{what}: count in a longer form", vector, bytes([0xDC, 0, count]) + data[1:], verdict)
    emit(f"{what}: count beyond the remaining bytes", vector, b"\xdd\x0f\xff\xff\xff" + data[1:], verdict)
    longer = bytes([0x91 + count]) if count < 15 else b"\xdc\x00\x10"
    later_allowed = vector["kind"] == "delta"
    if not later_allowed:
        emit(f"{what}: an element too many", vector, longer + data[1:] + b"\x00", verdict)
    emit(f"{what}: an element of 33 levels too many", vector, longer + data[1:] + nested(32), verdict)


def deltas():
    """Later fields are allowed, within eight levels."""
    plain = next(vector for vector in records("delta.txt") if vector["name"] == "plain")
    body = plain["bytes"][1:]
    emit("delta: a later field of nine levels with the delta's own", plain, b"\xdc\x00\x10" + body + nested(8), FORMAT)
    # The plain delta ends with empty lists of times and of the clock.
    assert body[-2:] == b"\x90\x90"
    clock = lambda region, seq: bytes([region, 1, 1, seq])
    twice = plain["bytes"][:-1] + b"\x98" + clock(1, 5) + clock(1, 6)
    emit("delta: one region twice in the clock", plain, twice, FORMAT)
    descending = plain["bytes"][:-1] + b"\x98" + clock(2, 5) + clock(1, 6)
    emit("delta: regions of the clock descending", plain, descending, FORMAT)
    state_twice = plain["bytes"][:-2] + b"\x94\x01\x05\x01\x06" + b"\x90"
    emit("delta: one state twice in the times", plain, state_twice, FORMAT)


def vectors_of_one_origin():
    entry = lambda seq: bytes([1, 1, 1, seq])
    vector = b"\x92\x98" + entry(5) + entry(6) + b"\x90"
    emit("token: one origin twice", {"kind": "token"}, b"\x92\x98" + bytes(8) + vector, TOKEN)
    folds = b"\x92\x90\x94\x01\x05\x01\x06"
    emit("token: one region folded twice", {"kind": "token"}, b"\x92\x98" + bytes(8) + folds, TOKEN)
    request = b"\x95\x07\x06\x00" + vector + b"\x90"
    emit("request: one origin twice in its token", {"kind": "request"}, request, FORMAT)


def signatures():
    """Section 2: keys and R are canonical and not of small order, S is below the group order."""
    identity = (1).to_bytes(32, "little")
    of_identity = identity + bytes(32)
    message, context = b"tidings", "tidings/batch/1"
    seed = hashlib.blake2b(b"tidings/sign/1", digest_size=32, key=bytes([1] * 32)).digest()
    public = bindings.crypto_sign_seed_keypair(seed)[0]
    expanded = bytearray(hashlib.sha512(seed).digest()[:32])
    expanded[0] &= 248
    expanded[31] = expanded[31] & 127 | 64
    scalar = int.from_bytes(expanded, "little")

    def hash_of(r):
        signed = context.encode() + b"\x00" + message
        return int.from_bytes(hashlib.sha512(r + public + signed).digest(), "little")

    def case(name, key, signature):
        emit(name, {"kind": "signature"}, message, BADSIG, context=context, key=key.hex(), signature=signature.hex())

    order_eight = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
    case("small-order key: order 8", order_eight, of_identity)
    case("key that is not canonical: the identity as p + 1", (2**255 - 19 + 1).to_bytes(32, "little"), of_identity)
    # R = identity and S = h a: the equation holds, and libraries that look at it alone say valid.
    case("small-order R that satisfies the equation", public,
         identity + (hash_of(identity) * scalar % ORDER).to_bytes(32, "little"))
    valid = bindings.crypto_sign(context.encode() + b"\x00" + message, bindings.crypto_sign_seed_keypair(seed)[1])[:64]
    case("R altered", public, bytes([valid[0] ^ 1]) + valid[1:])
    case("S as large as it can be written", public, valid[:32] + b"\xff" * 32)


def main():
    print("# written by refused.py: other forms of the accepted vectors, and signatures that lax libraries take")
    for name in ("request", "response", "message", "token", "card", "delta"):
        done = set()
        for vector in records(name + ".txt"):
            first = (vector.get("type"), vector["bytes"][1] if name == "request" else None)
            fixed_array = vector["bytes"][0] & 0xF0 == 0x90 and vector["bytes"][0] != 0x9F or name in ("delta", "response")
            if vector["verdict"] == "TD-E0000" and fixed_array and first not in done and (name != "response" or not done):
                done.add(first)
                other_forms(vector, TOKEN if name == "token" else FORMAT)
                if name in ("request", "delta") and len(done) == 3:
                    break
    deltas()
    vectors_of_one_origin()
    signatures()


if __name__ == "__main__":
    main()
