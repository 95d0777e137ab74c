"""How a stage runs as a command: an error is one line, the last line says what it cost, and no process outlives the
one that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def run(stage: Callable[[], None]) -> None:
    """Run a stage's main; on bad input print one line and exit 1, on an interrupt exit 130. Under DVC it ends with what
    it cost."""
    die_with_parent()
    try:
        stage()
        if "DVC_STAGE" in os.environ and sys.platform != "win32":
            progress(f"cost: {cost()}")
    except (ValueError, OSError) as error:
        sys.stdout.flush()
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        raise SystemExit(130) from None


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent dies (killed DVC would leave a trainer behind); no-op elsewhere."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died in between
        os.kill(os.getpid(), signal.SIGTERM)


def worker_count() -> int:
    """Number of processes: CAPTCHA_WORKERS, or one a core that this process may use."""
    asked = os.environ.get("CAPTCHA_WORKERS", "")
    if not asked:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not asked.isdecimal() or int(asked) < 1:
        raise ValueError(f"CAPTCHA_WORKERS should be a whole number of at least 1, got {asked!r}")
    return int(asked)


def cost() -> str:
    """CPU time of this process and of its workers that have ended, start-up included, and the largest one's memory.

    Linux hands the peak of a process on to the program that takes its place, so a small stage may show DVC's.
    """
    import resource  # here, since Windows has none

    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # of ru_maxrss: bytes there, KiB elsewhere
    return f"{cpu:.1f} CPU s, peak {max(usage.ru_maxrss for usage in usages) / unit:.0f} MiB"


def progress(message: str) -> None:
    """One flushed line, named after the DVC stage."""
    print(f"[{os.environ.get('DVC_STAGE', 'stage')}] {message}", flush=True)
