"""What other systems lack, taken away here, so that code which needs it fails as it would there.

A list per system, from the availability notes of the standard library (https://docs.python.org/3/library/os.html,
signal.html, select.html, socket.html) and from what Linux shows under /proc and /sys, but for what the standard library
of Linux itself calls (waitpid, pthread_sigmask). It is no test of the system: paths, files that are open and consoles
behave as on Linux. A child process takes part by ``PYTHONPATH``: see
:func:`make_site`.
"""

from __future__ import annotations

import builtins
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LINUX_ONLY = {
    "os": (
        "sched_getaffinity sched_setaffinity memfd_create eventfd pidfd_open getrandom copy_file_range splice "
        "posix_fadvise posix_fallocate getxattr setxattr listxattr"
    ),
    "signal": "SIGSTKFLT SIGPWR SIGRTMIN SIGRTMAX SIGPOLL SIGCLD",
    "select": "epoll",
}
LACKS: dict[str, dict[str, str]] = {
    "macos": _LINUX_ONLY,
    "windows": {
        "os": _LINUX_ONLY["os"]
        + (
            " fork forkpty register_at_fork getuid geteuid getgid getegid getgroups getresuid getpgrp getpgid getsid "
            "setsid setpgid setuid setgid tcgetpgrp tcsetpgrp openpty sysconf uname set_blocking get_blocking pread "
            "pwrite fchmod fchown chown lchown statvfs fstatvfs pathconf killpg nice getloadavg confstr mkfifo mknod "
            "pipe2 sync fdatasync getpriority setpriority ctermid environb WIFEXITED WEXITSTATUS WIFSIGNALED WTERMSIG "
            "O_NOCTTY O_CLOEXEC O_NONBLOCK O_SYNC O_DSYNC O_DIRECTORY O_NOFOLLOW"
        ),
        "signal": (
            _LINUX_ONLY["signal"] + " SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGCONT SIGSTOP SIGTSTP SIGKILL SIGALRM SIGPIPE "
            "SIGCHLD SIGWINCH SIGTTIN SIGTTOU SIGTRAP SIGBUS SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGIO SIGSYS "
            "alarm pause setitimer getitimer siginterrupt pthread_kill sigpending sigwait sigwaitinfo "
            "sigtimedwait"
        ),
        "select": "epoll poll",
        "socket": "AF_UNIX",
    },
}
MODULES = {"macos": "", "windows": "fcntl resource pty tty termios pwd grp syslog readline crypt nis"}
_HIDDEN = ("/proc", "/sys", "/dev/tty", "/dev/kfd", "/dev/nvidia")
# What reads them for itself, in a build for Linux; on another system it has another one.
_BEFORE = (
    "asyncio concurrent.futures ctypes.util getpass importlib.metadata logging.handlers multiprocessing.connection "
    "multiprocessing.managers multiprocessing.pool multiprocessing.synchronize platform random shutil socket sqlite3 "
    "subprocess tempfile tomllib uuid webbrowser psutil"
)


def make_site(folder: Path, system: str, *first: str) -> Path:
    """Make a folder which, on PYTHONPATH, takes away from every Python what a system lacks.

    Parameters
    ----------
    folder : Path
    system : str
        `macos` or `windows`.
    *first : str
        Modules to import before, such as a framework whose build for Linux needs what is taken away.
    """
    folder.mkdir()
    text = Path(__file__).read_text(encoding="utf-8")
    (folder / "lacking.py").write_text(text, encoding="utf-8")
    words = f"import lacking\nlacking.take_away({system!r}, {first!r})\n"
    (folder / "sitecustomize.py").write_text(words, encoding="utf-8")
    return folder


def take_away(system: str, first: tuple[str, ...] = ()) -> None:
    """Take away what a system lacks, in this process, for good."""
    import importlib

    for name in (*_BEFORE.split(), *first):
        importlib.import_module(name)
    import ctypes
    import multiprocessing

    for name, attributes in LACKS[system].items():
        module = importlib.import_module(name)
        for attribute in attributes.split():
            if hasattr(module, attribute):
                delattr(module, attribute)
    for name in MODULES[system].split():
        sys.modules[name] = None  # type: ignore[assignment]
    multiprocessing.set_start_method("spawn", force=True)
    for owner, names in ((builtins, "open"), (io, "open"), (os, "open stat lstat readlink listdir scandir access")):
        for name in names.split():
            setattr(owner, name, _without(getattr(owner, name)))
    if system == "windows":
        whole = ctypes.CDLL

        class Library(whole):  # type: ignore[misc, valid-type]
            def __init__(self, name: Any, *args: Any, **kwargs: Any) -> None:
                if name is None:
                    raise TypeError("LoadLibrary() argument 1 must be str, not None")
                super().__init__(name, *args, **kwargs)

        ctypes.CDLL = Library  # type: ignore[misc]
        signal.Signals.__members__  # noqa: B018  # stays whole: the interpreter's own numbers


def _without(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that finds nothing of Linux where histhooks asks for it."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        path = args[0] if args else None
        if isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(_HIDDEN) and _is_ours():
            raise FileNotFoundError(2, "No such file or directory", os.fspath(path))
        return function(*args, **kwargs)

    return wrapper


def _is_ours() -> bool:
    """Whether the nearest frame that is neither here nor in the standard library is one of histhooks."""
    frame = sys._getframe(2)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if module not in sys.stdlib_module_names and module != "lacking":
            return module == "histhooks"
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False
