"""cluster.py -- the nodes of one directory as scripts/cluster.sh lays them out (REGION/tidingsd.yaml, pid,
log, tidings.sock), on loopback or each on a host of the WAN: started, ended, asked. Nothing here breaks
anything; that is faults.py."""
import os
import signal
import subprocess
import sys
import time

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(TOP, "cluster-tests", "interop"))

import tidings  # noqa: E402  (the client written from docs/PROTOCOL.md: no code of the product)

BIN = os.environ.get("TIDINGS_BIN", os.path.join(TOP, "build", "bin"))
LINK_SELF, LINK_UP, LINK_LATE = 0, 1, 2
READY_SECONDS = 60
OP_FAULT = 9  # docs/PROTOCOL.md 13; the client beside it has no use for it


class ChaosError(Exception):
    """What the user has to know; one sentence."""


def require(condition, text):
    if not condition:
        raise ChaosError(text)


def until(seconds, what, condition, pause=0.03):
    """Polls a condition; what it returns, once that is true."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        require(time.monotonic() < end, f"timed out after {seconds} s: {what}")
        time.sleep(pause)


def read_file(path, otherwise=None):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        if otherwise is None:
            raise
        return otherwise


def bash(script, **environment):
    """Runs functions of lib.sh, cluster.sh and wan.sh."""
    before = f". {TOP}/scripts/lib.sh; . {TOP}/scripts/cluster.sh; . {TOP}/cluster-tests/wan/wan.sh\n"
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", before + script], text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **environment})
    require(done.returncode == 0, done.stdout.strip().splitlines()[-1] if done.stdout.strip() else f"failed: {script}")
    return done.stdout


class Node:
    """One tidingsd. `clone` nodes are copies that share the region of another one."""

    def __init__(self, cluster, name):
        self.cluster, self.name, self.dir = cluster, name, os.path.join(cluster.dir, name)
        self.child = None

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def address(self):
        return "ipc://" + self.path("tidings.sock")

    def pid(self):
        """0 = not running. A number of a process that is none of ours does not count."""
        number = int(read_file(self.path("pid"), "0").strip() or 0)
        words = read_file(f"/proc/{number}/cmdline", "").split("\0") if number else []
        state = read_file(f"/proc/{number}/stat", "").rpartition(") ")[2][:1]
        return number if self.path("tidingsd.yaml") in words and state != "Z" else 0

    def start(self):
        require(not self.pid(), f"{self.name} runs already")
        environment = dict(os.environ)
        clock = read_file(self.path("clock"), "").strip()  # of the fault `skew`, e.g. "+365d"
        if clock:
            environment.update(LD_PRELOAD=faketime_library(), FAKETIME=clock, FAKETIME_DONT_FAKE_MONOTONIC="1")
        with open(self.path("log"), "a", encoding="utf-8") as log:
            self.child = subprocess.Popen(
                [*self.cluster.enter(self.name), os.path.join(BIN, "tidingsd"), "-c", self.path("tidingsd.yaml")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True)
        with open(self.path("pid"), "w", encoding="utf-8") as file:
            file.write(f"{self.child.pid}\n")

    def send(self, number):
        pid = self.pid()
        require(pid, f"{self.name} is not running")
        os.kill(pid, number)

    def stop(self, number=signal.SIGTERM):
        """Ends the process and waits until it has gone."""
        pid = self.pid()
        if not pid:
            return
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, number)
        if self.child and self.child.pid == pid:
            self.child.wait()
        # The first thread may have ended before the others, which still hold files.
        until(READY_SECONDS, f"{self.name} ends", lambda: not self.pid() and thread_count(pid) <= 1, 0.01)

    def ask(self, op=tidings.STATUS, body=(), timeout_s=5):
        """One request of its own connection; an Answer."""
        with tidings.Client(self.address(), timeout_s=timeout_s) as client:
            return client.ask(op, list(body))

    def status(self, timeout_s=2):
        """An Answer, or None: not there."""
        try:
            return self.ask(timeout_s=timeout_s)
        except (OSError, tidings.Refused):
            return None

    def ready(self):
        """It answers and takes reports."""
        answer = self.status()
        return answer is not None and answer.body[6] == 1

    def links_up(self):
        """Names of the regions it has a direct link to; None = it does not answer."""
        answer = self.status()
        if answer is None:
            return None
        return {row[17] for row in answer.body[0] if row[4] == 1 and row[3] in (LINK_UP, LINK_LATE)}

    def log_text(self, from_byte=0):
        with open(self.path("log"), "rb") as file:
            file.seek(from_byte)
            return file.read().decode(errors="replace")

    def log_size(self):
        return os.path.getsize(self.path("log")) if os.path.exists(self.path("log")) else 0

    def figures(self):
        """Descriptors, threads, resident MiB of the process. Log segments that are kept open for readers are
        counted apart: their number follows that of the segments, up to 256 (node/log/files.c)."""
        pid = self.pid()
        files = [link_of(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
        segments = sum(name.endswith(".seg") for name in files)
        status = read_file(f"/proc/{pid}/status")
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return {"descriptors": len(files) - segments, "segments open": segments,
                "threads": len(os.listdir(f"/proc/{pid}/task")), "MiB": int(resident.split()[1]) / 1024}


class Cluster:
    def __init__(self, directory):
        self.dir = os.path.abspath(directory)
        names = read_file(os.path.join(self.dir, "regions"), "").split()
        require(names, f"no cluster in {directory}: start scripts/demo, or make one with scripts/chaos up DIR")
        self.wan = read_file(os.path.join(self.dir, "wan-state"), "").strip()
        self.nodes = {name: Node(self, name) for name in names}

    def node(self, name):
        require(name in self.nodes, f"no region {name} here; there are: {' '.join(self.nodes)}")
        return self.nodes[name]

    def names(self):
        return list(self.nodes)

    def enter(self, name):
        """The command prefix that runs something on this node's host."""
        if not self.wan or not name_on_wan(self.wan, name):
            return []
        if os.geteuid() == 0:
            return ["nsenter", f"--net={name_on_wan(self.wan, name)}"]
        router = read_file(os.path.join(self.wan, "pid")).strip()
        return ["nsenter", f"--user=/proc/{router}/ns/user", "--preserve-credentials",
                f"--net={name_on_wan(self.wan, name)}"]

    def wan_control(self, *words):
        require(self.wan, f"{words[0]}: this cluster is on loopback, where links have no delay to set; "
                          "make one on the WAN: scripts/chaos up DIR --wan ibm-3")
        done = subprocess.run([os.path.join(BIN, "tidings-wan"), "control", os.path.join(self.wan, "socket"),
                               " ".join(words)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        require(done.returncode == 0, done.stdout.strip())
        return done.stdout

    def region_numbers(self):
        for node in self.nodes.values():
            answer = node.status()
            if answer:
                return {row[17]: row[0] for row in answer.body[0]}
        raise ChaosError("no node of this cluster answers")

    def mesh_complete(self):
        return all(len(node.links_up() or ()) == len(self.nodes) - 1 for node in self.nodes.values())

    def start(self):
        for node in self.nodes.values():
            if not node.pid():
                node.start()
        until(READY_SECONDS, "all regions see each other", self.mesh_complete)

    def stop(self):
        for node in self.nodes.values():
            if node.pid():
                node.send(signal.SIGCONT)
                node.send(signal.SIGTERM)
        for node in self.nodes.values():
            node.stop()
        if self.wan:
            bash("wan_down", TIDINGS_WAN=self.wan)


def thread_count(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def link_of(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""  # closed meanwhile


def name_on_wan(wan, name):
    rows = [line.split() for line in read_file(os.path.join(wan, "hosts"), "").splitlines()]
    return next((row[2] for row in rows if row[0] == name and row[2] != "-"), "")


def faketime_library():
    for directory in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/local/lib"):
        path = os.path.join(directory, "faketime", "libfaketimeMT.so.1")
        if os.path.exists(path):
            return path
    raise ChaosError("skew needs libfaketime: apt-get install libfaketime")


def make_cluster(directory, regions=(), preset=None, config=""):
    """Fresh keys, roster, configuration in an empty or earlier chaos directory; started. A preset of the WAN
    brings its own regions."""
    directory = os.path.abspath(directory)
    require(not os.path.exists(directory) or not os.listdir(directory) or
            os.path.exists(os.path.join(directory, "regions")), f"{directory} is something else: not touched")
    if os.path.exists(os.path.join(directory, "regions")):
        Cluster(directory).stop()
    environment = {"cluster": directory, "bin": BIN, "wan": directory + ".wan"}
    if preset:
        bash(f"""wan_up {preset} >/dev/null; [ "$(wan_mode)" = namespaces ] || exit 0
                 make_region() {{ wan_make_region "$1"; }}
                 cluster_make $(wan_hosts); echo "$wan" >"$cluster/wan-state" """,
             TIDINGS_WAN=directory + ".wan", **environment)
        require(os.path.exists(os.path.join(directory, "wan-state")),
                "this needs network namespaces and /dev/net/tun, which are not permitted here (docs/WAN.md)")
    else:
        bash("cluster_make " + " ".join(regions), **environment)
    cluster = Cluster(directory)
    if config:
        for node in cluster.nodes.values():
            with open(node.path("tidingsd.yaml"), "a", encoding="utf-8") as file:
                file.write(config + "\n")
    cluster.start()
    return cluster
