#!/usr/bin/python3
"""Writes noise_xx_dissononce.txt: a handshake by python3-dissononce with the prologue and payload
shapes of PROTOCOL, and transport messages around a REKEY of each direction.

Run: noise_xx_dissononce.py > noise_xx_dissononce.txt (the output is always the same)."""
import hashlib

from dissononce.cipher.chachapoly import ChaChaPolyCipher
from dissononce.dh.x25519.keypair import KeyPair
from dissononce.dh.x25519.private import PrivateKey
from dissononce.dh.x25519.public import PublicKey
from dissononce.dh.x25519.x25519 import X25519DH
from dissononce.hash.sha256 import SHA256Hash
from dissononce.processing.handshakepatterns.interactive.XX import XXHandshakePattern
from dissononce.processing.impl.cipherstate import CipherState
from dissononce.processing.impl.handshakestate import HandshakeState
from dissononce.processing.impl.symmetricstate import SymmetricState


class FixedEphemeral(X25519DH):
    """X25519 whose next generated key pair is the given one."""

    def __init__(self, secret):
        super().__init__()
        self.secret = secret

    def generate_keypair(self, privatekey=None):
        return super().generate_keypair(privatekey or PrivateKey(self.secret))


def key(label):
    return hashlib.sha256(b"tidings vector " + label).digest()


def side(initiator, prologue, static, ephemeral):
    dh = FixedEphemeral(ephemeral)
    state = HandshakeState(SymmetricState(CipherState(ChaChaPolyCipher()), SHA256Hash()), dh)
    state.initialize(XXHandshakePattern(), initiator, prologue,
                     s=dh.generate_keypair(PrivateKey(static)))
    return state


def rekey(cipher):
    """Section 4.2 and 5.1: k becomes ENCRYPT(k, 2^64-1, "", zeros) cut to 32 bytes, n goes on. Done here
    because this library's own rekey() neither cuts the tag off nor keeps n."""
    cipher._key = cipher.cipher.encrypt(cipher._key, 2**64 - 1, b"", bytes(32))[:32]


def main():
    cluster = hashlib.blake2b(bytes(range(32)), digest_size=16).digest()
    prologue = b"TIDINGS" + bytes([1, 1]) + cluster
    names = ["init_static", "init_ephemeral", "resp_static", "resp_ephemeral"]
    keys = {name: key(name.encode()) for name in names}
    initiator = side(True, prologue, keys["init_static"], keys["init_ephemeral"])
    responder = side(False, prologue, keys["resp_static"], keys["resp_ephemeral"])
    print("# written by noise_xx_dissononce.py; message = payload, then what is on the wire")
    print("prologue", prologue.hex())
    for name in names:
        print(name, keys[name].hex())

    card = bytes(range(200))
    payloads = [b"", bytes([0x93, 1, 1, 0xC4, len(card)]) + card, bytes([0x92, 1, 1])]
    ciphers = {}
    for number, payload in enumerate(payloads):
        writer, reader = (initiator, responder) if number % 2 == 0 else (responder, initiator)
        message, plain = bytearray(), bytearray()
        pair = writer.write_message(payload, message)
        if pair:
            ciphers["writer"] = pair
        pair = reader.read_message(bytes(message), plain)
        if pair:
            ciphers["reader"] = pair
        assert bytes(plain) == payload
        print("message", payload.hex(), bytes(message).hex())
    print("handshake_hash", initiator.symmetricstate.get_handshake_hash().hex())

    # Message 3 was the initiator's: "writer" holds the initiator's pair (to responder, to initiator).
    to_responder, to_initiator = ciphers["writer"]
    for number in range(3, 11):
        cipher = to_initiator if number % 2 == 1 else to_responder
        if number in (5, 6, 9):
            rekey(cipher)
            print("rekey")
        payload = b"transport message %d" % number
        print("message", payload.hex(), cipher.encrypt_with_ad(b"", payload).hex())


if __name__ == "__main__":
    main()
