"""latency_record.py -- publishes in every region at an even rate and notes what arrives where.

usage: latency_record.py TIDINGS RATE FILE REGION=SOCKET...

A job is published once, `wan/<region>/<microseconds>`; FILE gets a line for each arrival at another
region: microseconds, where, whose, when it was published. A process for each region, so that one that
is killed holds up nobody else. Ends on SIGTERM.
"""
import os
import signal
import subprocess
import sys
import threading
import time


def now_us():
    return time.time_ns() // 1000


class Publisher:
    """Ends with its node; the next one is started when it is missed."""

    def __init__(self, command):
        self.command, self.process = command + ["publish", "--from-jsonl", "-", "--timeout", "1s"], None

    def publish(self, name):
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, bufsize=0,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.process.stdin.write(b'{"job":"wan/%s/%d","state":"completed"}\n' % (name, now_us()))
        except BrokenPipeError:
            self.process.wait()


def publish(command, name, period, due):
    publisher = Publisher(command)
    while True:
        pause = due - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        publisher.publish(name)
        due += period


def watch(command, name, file):
    while True:
        watcher = subprocess.Popen(command + ["watch", "--prefix", "wan/", "-o", "plain"],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for line in watcher.stdout:
            job = line.split(b"\t", 1)[0].split(b"/")
            if len(job) == 3 and job[1] != name:
                file.write(b"%d %s %s %s\n" % (now_us(), name, job[1], job[2]))
        watcher.wait()
        time.sleep(0.1)


def region(tidings, argument, path, period, due):
    name, socket = argument.split("=", 1)
    command = [tidings, "-q", "-n", socket]
    with open(path, "ab", buffering=0) as file:
        threading.Thread(target=watch, args=(command, name.encode(), file), daemon=True).start()
        publish(command, name.encode(), period, due)


def main():
    tidings, rate, path, regions = sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4:]
    os.setpgid(0, 0)
    begin = time.monotonic()
    for turn, argument in enumerate(regions):
        if os.fork() == 0:
            region(tidings, argument, path, len(regions) / rate, begin + turn / rate)
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    signal.pause()


main()
