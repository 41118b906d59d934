"""faults.py -- the catalogue: every fault by name, how it is done and undone. What is active is kept in the
cluster's directory, so that another call can list and undo it."""
import json
import os
import signal
import subprocess
import time

import disk
import tidings
from cluster import OP_FAULT, ChaosError, Node, faketime_library, read_file, require, until

HERE = os.path.dirname(os.path.realpath(__file__))


class Fault:
    """do(cluster, arguments, rng) returns what undo(cluster, arguments, saved) needs. undo None: nothing to
    undo, the node repairs itself."""

    def __init__(self, usage, text, do, undo=None, most=0):
        words = usage.split()
        self.name, self.usage, self.text, self.do, self.undo = words[0], usage, text, do, undo
        self.regions = [word for word in words[1:] if word in ("REGION", "A", "B")]
        self.most = len(self.regions) + most

    def check(self, cluster, arguments):
        require(len(self.regions) <= len(arguments) <= self.most, f"usage: {self.usage}")
        for name in arguments[:len(self.regions)]:
            cluster.node(name)
        require(len(set(arguments[:2])) == 2 or len(self.regions) < 2, f"{self.name}: two different regions")


# ---- processes ----
def do_kill(cluster, arguments, _):
    cluster.node(arguments[0]).stop(signal.SIGKILL)


def do_stop(cluster, arguments, _):
    cluster.node(arguments[0]).stop()


def undo_start(cluster, arguments, _):
    node = cluster.node(arguments[0])
    if not node.pid():
        node.start()


def do_restart(cluster, arguments, _):
    do_stop(cluster, arguments, _)
    undo_start(cluster, arguments, _)


def do_pause(cluster, arguments, _):
    cluster.node(arguments[0]).send(signal.SIGSTOP)


def undo_pause(cluster, arguments, _):
    if cluster.node(arguments[0]).pid():
        cluster.node(arguments[0]).send(signal.SIGCONT)


# ---- links ----
def switch(cluster, at, towards, send_cut, receive_cut):
    """The link driver's own switch in the node `at`; a node that is not there has no link either."""
    node = cluster.node(at)
    if not node.pid():
        return
    answer = node.status(5)
    require(answer, f"{at} does not answer: is it standing still?")
    number = next(row[0] for row in answer.body[0] if row[17] == towards)
    try:
        node.ask(OP_FAULT, [number, int(send_cut), int(receive_cut)])
    except tidings.Refused as refused:
        raise ChaosError(f"{at} refuses (TD-E{refused.number:04d}): link faults need `chaos: true` in its "
                         "configuration, and root or its user") from None


def do_cut(cluster, arguments, _):
    one, other = arguments
    if cluster.wan:
        cluster.wan_control("cut", one, other)
        return
    switch(cluster, one, other, True, True)
    switch(cluster, other, one, True, True)


def undo_cut(cluster, arguments, _):
    one, other = arguments
    if cluster.wan:
        cluster.wan_control("heal", one, other)
        return
    switch(cluster, one, other, False, False)
    switch(cluster, other, one, False, False)


def do_one_way(cluster, arguments, _):
    one, other = arguments
    if cluster.wan:
        cluster.wan_control("cut", one, other, "one-way")
    else:
        switch(cluster, one, other, True, False)


def others(cluster, name):
    return [other for other in cluster.names() if other != name]


def do_isolate(cluster, arguments, _):
    for other in others(cluster, arguments[0]):
        do_cut(cluster, (arguments[0], other), _)


def undo_isolate(cluster, arguments, _):
    for other in others(cluster, arguments[0]):
        undo_cut(cluster, (arguments[0], other), _)


def do_path(cluster, arguments, _, default):
    cluster.wan_control("set", *arguments[:2], *(arguments[2:] or default))


def do_slow(cluster, arguments, _):
    do_path(cluster, arguments, _, ["delay=400ms", "jitter=100ms", "rate=256kbit"])


def do_lossy(cluster, arguments, _):
    do_path(cluster, arguments, _, ["loss=10%", "dup=1%", "reorder=5%"])


def undo_path(cluster, arguments, _):
    """Back to what the preset says about these two."""
    cluster.wan_control("set", *arguments[:2], "delay=0ms", "jitter=0ms", "loss=0%", "dup=0%", "reorder=0%",
                        "rate=none", "queue=256")
    for line in read_file(os.path.join(cluster.dir, "wan-preset"), "").splitlines():
        words = line.split()
        if words[:1] == ["set"] and (set(words[1:3]) == set(arguments[:2]) or "*" in words[1:3]):
            cluster.wan_control(*words)


# ---- clocks ----
def do_skew(cluster, arguments, _):
    node = cluster.node(arguments[0])
    shift = arguments[1] if len(arguments) > 1 else "+365d"
    require(shift[:1] in "+-" and shift[1:-1].isdigit() and shift[-1] in "smhdy",
            f"skew: {shift} is not like +365d, -2h, +90s")
    faketime_library()
    node.stop()
    with open(node.path("clock"), "w", encoding="utf-8") as file:
        file.write(shift + "\n")
    node.start()


def undo_skew(cluster, arguments, _):
    node = cluster.node(arguments[0])
    node.stop()
    if os.path.exists(node.path("clock")):
        os.unlink(node.path("clock"))
    node.start()


# ---- clones, bad clients ----
def do_clone(cluster, arguments, _):
    """A copy of the data directory and its key, started beside the first: as a restored virtual machine."""
    node = cluster.node(arguments[0])
    copy = Node(cluster, arguments[0] + "-clone")
    require(not os.path.exists(copy.dir), f"{copy.dir} exists already")
    disk.copy_node(node, copy)
    copy.cluster = CloneHost(cluster, arguments[0])
    copy.start()
    until(30, f"the clone of {arguments[0]} answers", lambda: copy.status() is not None)


class CloneHost:
    """The clone runs on the host of the node it was copied from."""

    def __init__(self, cluster, name):
        self.dir, self.cluster, self.name = cluster.dir, cluster, name

    def enter(self, _):
        return self.cluster.enter(self.name)


def undo_clone(cluster, arguments, _):
    copy = Node(cluster, arguments[0] + "-clone")
    copy.stop(signal.SIGKILL)
    disk.remove_tree(copy.dir)


def do_client(cluster, arguments, kind):
    node = cluster.node(arguments[0])
    child = subprocess.Popen(["/usr/bin/python3", "-B", os.path.join(HERE, "clients.py"), kind, node.address()],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             start_new_session=True)
    return {"pid": child.pid}


def undo_client(_, arguments, saved):
    pid = saved["pid"]
    if "clients.py" in read_file(f"/proc/{pid}/cmdline", ""):
        os.kill(pid, signal.SIGKILL)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # of an earlier call of this program


FAULTS = {fault.name: fault for fault in (
    Fault("kill REGION", "kill -9; undo starts it", do_kill, undo_start),
    Fault("stop REGION", "SIGTERM: it hands over and ends; undo starts it", do_stop, undo_start),
    Fault("restart REGION", "SIGTERM, then start", do_restart),
    Fault("pause REGION", "SIGSTOP; undo SIGCONT", do_pause, undo_pause),
    Fault("cut A B", "nothing passes between two regions", do_cut, undo_cut),
    Fault("one-way A B", "nothing that A sends reaches B", do_one_way, undo_cut),
    Fault("isolate REGION", "cut from every other region", do_isolate, undo_isolate),
    Fault("slow A B [delay=400ms jitter=100ms rate=256kbit]", "WAN only", do_slow, undo_path, 4),
    Fault("lossy A B [loss=10% dup=1% reorder=5%]", "WAN only", do_lossy, undo_path, 4),
    Fault("skew REGION [+365d]", "restarted under a shifted clock (libfaketime)", do_skew, undo_skew, 1),
    Fault("fill-disk REGION [MIB]", "its data moves to a small disk with MIB (default 0) free; undo makes room, "
          "then moves back", disk.do_fill, disk.undo_fill, 1),
    Fault("corrupt-log REGION [FLIPS]", "stopped, bits flipped in its largest log segment (default 4 places), "
          "started", disk.do_corrupt, None, 1),
    Fault("drop-segment REGION", "stopped, its oldest log segment deleted, started", disk.do_drop),
    Fault("wipe-disk REGION", "stopped, its whole log deleted, started", disk.do_wipe),
    Fault("backup REGION", "stopped, its log copied aside, started", disk.do_backup),
    Fault("restore-backup REGION", "stopped, the log of `backup` put back, started", disk.do_restore),
    Fault("clone REGION", "data and key copied, a second process started", do_clone, undo_clone),
    Fault("flood REGION", "a client that publishes as fast as it can (jobs flood/...)",
          lambda cluster, arguments, _: do_client(cluster, arguments, "flood"), undo_client),
    Fault("slow-client REGION", "clients that ask for everything and read nothing",
          lambda cluster, arguments, _: do_client(cluster, arguments, "slow"), undo_client),
)}


# ---- what is active ----
class Active:
    """The faults in force, in a file of the cluster's directory."""

    def __init__(self, cluster):
        self.cluster, self.path = cluster, os.path.join(cluster.dir, "faults.json")
        self.rows = json.loads(read_file(self.path, "[]"))

    def save(self):
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.rows, file, indent=1)
        os.replace(self.path + ".new", self.path)

    def do(self, name, arguments, rng):
        require(name in FAULTS, f"no fault {name}; there are: {' '.join(FAULTS)}")
        fault, arguments = FAULTS[name], list(arguments)
        fault.check(self.cluster, arguments)
        require(not any(row["fault"] == name and row["arguments"] == arguments for row in self.rows),
                f"{name} {' '.join(arguments)} is active already")
        saved = fault.do(self.cluster, arguments, rng)
        if fault.undo is None:
            return None
        row = {"id": max([row["id"] for row in self.rows], default=0) + 1, "fault": name, "arguments": arguments,
               "since": time.time(), "saved": saved or {}}
        self.rows.append(row)
        self.save()
        return row

    def undo(self, row):
        FAULTS[row["fault"]].undo(self.cluster, row["arguments"], row["saved"])
        self.rows.remove(row)
        self.save()

    def undo_all(self):
        """The newest first; the others also when one fails, the first failure is told."""
        failed = None
        for row in list(reversed(self.rows)):
            try:
                self.undo(row)
            except (ChaosError, OSError, tidings.Refused) as error:
                failed = failed or f"{row['fault']} {' '.join(row['arguments'])}: {error}"
        require(not failed, failed)
