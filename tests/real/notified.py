"""A service manager's side of driftd: a notify socket, and threads of a process that stop for a while."""

import contextlib
import ctypes
import os
import socket
import time
from pathlib import Path

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000


class Manager:
    """Listens where NOTIFY_SOCKET says: on a path, or on an abstract address."""

    def __init__(self, name):
        self.name = str(name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.name[1:] if self.name.startswith("@") else self.name)
        self.env = {"NOTIFY_SOCKET": self.name}

    def close(self):
        self.socket.close()

    def next(self, seconds=10):
        """The next message as a dictionary; None where none comes in time."""
        self.socket.settimeout(max(seconds, 0.001))
        try:
            text = self.socket.recv(4096).decode()
        except TimeoutError:
            return None
        return dict(line.split("=", 1) for line in text.splitlines())

    def until(self, key, seconds=20, value=None):
        """The messages up to the first that has this key (and contains this value)."""
        deadline, seen = time.monotonic() + seconds, []
        while (left := deadline - time.monotonic()) > 0:
            message = self.next(left)
            if message is None:
                break
            seen.append(message)
            if key in message and (value is None or value in message[key]):
                return seen
        raise AssertionError(f"no {key}={value} within {seconds} s; heard: {seen}")

    def during(self, seconds):
        """Every message of so long."""
        deadline, seen = time.monotonic() + seconds, []
        while (left := deadline - time.monotonic()) > 0:
            message = self.next(left)
            if message is not None:
                seen.append(message)
        return seen


def pings(messages):
    return sum(message.get("WATCHDOG") == "1" for message in messages)


def threads(process):
    """The threads of a process by name."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return {(task / "comm").read_text().strip(): int(task.name) for task in tasks}


@contextlib.contextmanager
def stopped(thread):
    """One thread of a child stands still, and all others go on: what a deadlock is to who watches."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def ptrace(request):
        if libc.ptrace(request, thread, None, None) == -1:
            error = ctypes.get_errno()
            raise OSError(error, f"ptrace {request:#x} of thread {thread}: {os.strerror(error)}")

    ptrace(PTRACE_SEIZE)
    ptrace(PTRACE_INTERRUPT)
    os.waitpid(thread, WALL)
    try:
        yield
    finally:
        ptrace(PTRACE_DETACH)
