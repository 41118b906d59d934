"""press.py TEXT WANTED -- types TEXT and one TAB into an interactive zsh that finds completions in the
current folder. Exit 0 once the line shows WANTED."""
import os
import pty
import select
import sys
import time

pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(TERM="dumb", PS1="% ")
    os.execvp("zsh", ["zsh", "-f", "-i"])
seen = b""


def shows(wanted, seconds=10):
    global seen
    end = time.monotonic() + seconds
    while wanted not in seen and time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                break
    return wanted in seen


os.write(terminal, b"unsetopt beep; fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; echo BE''GIN\n")
if not shows(b"BEGIN\r\n"):
    sys.exit("zsh does not start: %r" % seen)
seen = b""
os.write(terminal, sys.argv[1].encode() + b"\t")
sys.exit(0 if shows(sys.argv[2].encode()) else "after TAB: %r" % seen)
