"""clients.py KIND ADDRESS -- clients that no node should suffer from: `flood` publishes as fast as it can,
`slow` asks for everything on many connections and never reads an answer. Run by the faults of these
names until they are killed."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "interop"))

import tidings  # noqa: E402

JOBS = 2000
CONNECTIONS = 32


def flood(address):
    """Full requests, several on their way, over a fixed set of jobs."""
    number = 0
    while True:
        try:
            with tidings.Client(address) as client:
                waiting = []
                while True:
                    number += 1
                    batch = [tidings.update(f"flood/{(number * 200 + i) % JOBS}", "running", progress=number % 10000)
                             for i in range(200)]
                    waiting.append(client.send(tidings.PUBLISH, [0, batch]))
                    if len(waiting) > 8:
                        client.answer_to(waiting.pop(0))
        except (OSError, tidings.Refused):
            time.sleep(0.1)  # refused or gone: again, as bad clients do


def slow(address):
    """Each connection asks until its own buffer is full, then stays."""
    while True:
        held = []
        for _ in range(CONNECTIONS):
            try:
                client = tidings.Client(address, timeout_s=0.2)
                held.append(client)
                for _ in range(200):
                    client.send(tidings.LIST, [tidings.job_filter(), 1000, 0])
                    client.send(tidings.WATCH, [tidings.job_filter(), 1000, 0, 0, 0])
            except (OSError, tidings.Refused):
                pass  # full, or refused: what was wanted
        time.sleep(5)
        for client in held:
            client.stream.socket.close()


if __name__ == "__main__":
    {"flood": flood, "slow": slow}[sys.argv[1]](sys.argv[2])
