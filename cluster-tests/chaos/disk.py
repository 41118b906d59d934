"""disk.py -- faults of disks and of those who handle them: full, flipped bits, lost files, an old copy.
Except for fill-disk the node is stopped with SIGTERM first: what it acknowledged is then elsewhere, and
the loss is its disk's alone."""
import glob
import os
import shutil
import subprocess

from cluster import ChaosError, read_file, require, until

MIB = 1024 * 1024


def segments(node):
    return sorted(glob.glob(node.path("*.seg")))


def remove_tree(path):
    if os.path.isdir(path):
        shutil.rmtree(path)


def used_bytes(path):
    """Up to the zeros that were only reserved."""
    with open(path, "rb") as file:
        return len(file.read().rstrip(b"\0"))


class Stopped:
    """with Stopped(node): its files may be changed; it starts again afterwards."""

    def __init__(self, node):
        self.node = node

    def __enter__(self):
        self.node.stop()

    def __exit__(self, *error):
        self.node.start()


def do_corrupt(cluster, arguments, rng):
    node = cluster.node(arguments[0])
    flips = int(arguments[1]) if len(arguments) > 1 else 4
    with Stopped(node):
        largest = max(segments(node), key=used_bytes)
        used = used_bytes(largest)
        require(used > 4096, f"the log of {node.name} is too small to be harmed")
        with open(largest, "r+b") as file:
            for _ in range(flips):
                at = rng.randrange(used // 4, used * 9 // 10)
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ 1 << rng.randrange(8)]))


def do_drop(cluster, arguments, _):
    node = cluster.node(arguments[0])
    if len(segments(node)) < 2:  # every start opens a new one
        node.stop()
        node.start()
        until(30, f"{node.name} has a second segment", lambda: len(segments(node)) > 1 and node.ready())
    with Stopped(node):
        # Not the newest: without that one nothing tells that it was there (docs/LOG.md).
        os.unlink(segments(node)[0])


def do_wipe(cluster, arguments, _):
    node = cluster.node(arguments[0])
    with Stopped(node):
        for path in segments(node):
            os.unlink(path)


def do_backup(cluster, arguments, _):
    node = cluster.node(arguments[0])
    with Stopped(node):
        remove_tree(node.dir + ".backup")
        os.mkdir(node.dir + ".backup")
        for path in segments(node):
            shutil.copy2(path, node.dir + ".backup")


def do_restore(cluster, arguments, _):
    node = cluster.node(arguments[0])
    copies = glob.glob(node.dir + ".backup/*.seg")
    require(copies, f"no backup of {node.name}: scripts/chaos backup {node.name} first")
    with Stopped(node):
        for path in segments(node):
            os.unlink(path)
        for path in copies:
            shutil.copy2(path, node.dir)


def copy_node(node, copy):
    """Key, roster and log, with sockets and ports of its own."""
    shutil.copytree(node.dir, copy.dir, ignore=lambda _, names: [
        name for name in names if name in ("lock", "pid", "log", "clock") or name.endswith(".sock")])
    with open(copy.path("tidingsd.yaml"), encoding="utf-8") as file:
        text = file.read()
    text = text.replace(node.dir + '"', copy.dir + '"').replace(node.dir + "/", copy.dir + "/")
    port = int(read_file(node.path("port")).strip())
    for number in (port + 1, port):
        text = text.replace(f":{number}\"", f":{number + 4}\"")
    with open(copy.path("tidingsd.yaml"), "w", encoding="utf-8") as file:
        file.write(text)


# ---- a full disk ----
def do_fill(cluster, arguments, _):
    """As root on a tmpfs of its own, filled up; else by a limits.log that is reached."""
    node = cluster.node(arguments[0])
    free_mib = int(arguments[1]) if len(arguments) > 1 else 0
    node.stop()
    try:
        saved = fill_mount(node, free_mib) if os.geteuid() == 0 else fill_limit(node, free_mib)
    finally:
        node.start()
    if "small" in saved:
        until(60, f"{node.name} is ready", node.ready)
        leave_free(saved["small"], free_mib * MIB)
    return saved


def fill_mount(node, free_mib):
    small, kept = node.dir + ".small", node.dir + ".kept"
    need = sum(os.path.getsize(path) for path in glob.glob(node.path("*")) if os.path.isfile(path))
    os.makedirs(small, exist_ok=True)
    size = need + (free_mib + 16) * MIB
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tidings-chaos", small],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    require(done.returncode == 0, f"no small disk: {done.stdout.strip()}")
    shutil.copytree(node.dir, small + "/data", ignore=lambda _, names: [n for n in names if n.endswith(".sock")])
    os.rename(node.dir, kept)
    os.symlink(small + "/data", node.dir)
    return {"small": small, "kept": kept}


def leave_free(small, bytes_free):
    with open(small + "/ballast", "ab") as file:
        while True:
            found = os.statvfs(small)
            more = found.f_bavail * found.f_frsize - bytes_free
            if more <= 0:
                return
            try:
                os.posix_fallocate(file.fileno(), os.path.getsize(file.name), more)
            except OSError:
                return  # the node was quicker: full is what was wanted


def fill_limit(node, free_mib):
    text = read_file(node.path("tidingsd.yaml"))
    require("limits:" not in text, "without root fill-disk sets limits.log, but this node has limits already")
    size = sum(os.path.getsize(path) for path in segments(node)) // MIB + free_mib + 1
    with open(node.path("tidingsd.yaml"), "a", encoding="utf-8") as file:
        file.write(f"limits:\n  log: {max(size, 8)}MiB\n")
    return {"config": text}


def undo_fill(cluster, arguments, saved):
    node = cluster.node(arguments[0])
    if "config" in saved:
        with Stopped(node):
            with open(node.path("tidingsd.yaml"), "w", encoding="utf-8") as file:
                file.write(saved["config"])
        return
    small, kept = saved["small"], saved["kept"]
    os.unlink(small + "/ballast")
    subprocess.run(["mount", "-o", "remount,size=50%", small], check=True)
    if node.pid():
        try:
            until(20, f"{node.name} publishes again by itself", node.ready)
        except ChaosError as error:
            raise ChaosError(f"{error}; its data is in {small}") from None
    node.stop()
    shutil.copytree(small + "/data", node.dir + ".back", ignore=lambda _, names: [n for n in names
                                                                                   if n.endswith(".sock")])
    os.unlink(node.dir)
    os.rename(node.dir + ".back", node.dir)
    until(20, f"{small} is not busy", lambda: subprocess.run(
        ["umount", small], stderr=subprocess.DEVNULL).returncode == 0)
    os.rmdir(small)
    remove_tree(kept)
    node.start()
