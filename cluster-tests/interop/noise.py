"""noise.py -- Noise_XX_25519_ChaChaPoly_SHA256 (revision 34), the dialler's side, and the records of
docs/PROTOCOL.md section 3. Needs python3-nacl for X25519 and ChaCha20-Poly1305, nothing else."""
import hashlib
import hmac
import os
import struct

from nacl import bindings

NAME = b"Noise_XX_25519_ChaChaPoly_SHA256"
REKEY_EVERY = 2**16
RECORD_MAX = 65535
TAG = 16


def hkdf2(chaining_key, material):
    """Two outputs of Noise's HKDF."""
    temp = hmac.digest(chaining_key, material, "sha256")
    first = hmac.digest(temp, b"\x01", "sha256")
    return first, hmac.digest(temp, first + b"\x02", "sha256")


class Cipher:
    """A CipherState."""

    def __init__(self, key=None):
        self.key, self.n = key, 0

    @staticmethod
    def nonce(number):
        return bytes(4) + struct.pack("<Q", number)

    def encrypt(self, associated, plain):
        if self.key is None:
            return plain
        sealed = bindings.crypto_aead_chacha20poly1305_ietf_encrypt(plain, associated, self.nonce(self.n), self.key)
        self.n += 1
        return sealed

    def decrypt(self, associated, sealed):
        if self.key is None:
            return sealed
        plain = bindings.crypto_aead_chacha20poly1305_ietf_decrypt(sealed, associated, self.nonce(self.n), self.key)
        self.n += 1
        return plain

    def rekey(self):
        self.key = bindings.crypto_aead_chacha20poly1305_ietf_encrypt(
            bytes(32), b"", self.nonce(2**64 - 1), self.key)[:32]


class Records:
    """One direction of the channel after the handshake: the key is replaced after each 2^16 records."""

    def __init__(self, cipher):
        self.cipher = cipher

    def seal(self, plain):
        sealed = self.cipher.encrypt(b"", plain)
        self.count()
        return struct.pack(">H", len(sealed)) + sealed

    def open(self, sealed):
        plain = self.cipher.decrypt(b"", sealed)
        self.count()
        return plain

    def count(self):
        if self.cipher.n % REKEY_EVERY == 0:
            self.cipher.rekey()


class Initiator:
    """Messages 1 to 3 of XX as the dialler writes and reads them."""

    def __init__(self, prologue, static_secret):
        self.static = static_secret
        self.static_public = bindings.crypto_scalarmult_base(static_secret)
        self.ephemeral = os.urandom(32)
        self.hash = self.chaining_key = NAME  # exactly 32 bytes: not hashed
        self.cipher = Cipher()
        self.mix_hash(prologue)
        self.remote_static = None

    def mix_hash(self, data):
        self.hash = hashlib.sha256(self.hash + data).digest()

    def mix_key(self, material):
        self.chaining_key, key = hkdf2(self.chaining_key, material)
        self.cipher = Cipher(key)

    def encrypt(self, plain):
        sealed = self.cipher.encrypt(self.hash, plain)
        self.mix_hash(sealed)
        return sealed

    def decrypt(self, sealed):
        plain = self.cipher.decrypt(self.hash, sealed)
        self.mix_hash(sealed)
        return plain

    def message_1(self):
        public = bindings.crypto_scalarmult_base(self.ephemeral)
        self.mix_hash(public)
        return public + self.encrypt(b"")

    def read_message_2(self, message):
        """Returns the payload."""
        ephemeral, static, payload = message[:32], message[32:32 + 32 + TAG], message[32 + 32 + TAG:]
        self.remote_ephemeral = ephemeral
        self.mix_hash(ephemeral)
        self.mix_key(bindings.crypto_scalarmult(self.ephemeral, ephemeral))
        self.remote_static = self.decrypt(static)
        self.mix_key(bindings.crypto_scalarmult(self.ephemeral, self.remote_static))
        return self.decrypt(payload)

    def message_3(self, payload):
        """Returns the message and the two directions: ours, theirs."""
        sealed = self.encrypt(self.static_public)
        self.mix_key(bindings.crypto_scalarmult(self.static, self.remote_ephemeral))
        message = sealed + self.encrypt(payload)
        ours, theirs = hkdf2(self.chaining_key, b"")
        return message, Records(Cipher(ours)), Records(Cipher(theirs))
