"""Run a stage as a command: an error is one line, the last line is the cost, and no worker outlives its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def run(stage: Callable[[], None]) -> None:
    """Run the main function of a stage. On bad input print one line and exit 1; on an interrupt exit 130. Under DVC the
    last line is the cost."""
    die_with_parent()
    try:
        stage()
        if "DVC_STAGE" in os.environ and sys.platform != "win32":
            progress(f"cost: {run_cost()}")
    except (ValueError, OSError) as error:
        sys.stdout.flush()
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        raise SystemExit(130) from None


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent dies (a killed DVC would leave a trainer running); else a no-op."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # the parent died in between
        os.kill(os.getpid(), signal.SIGTERM)


def worker_count() -> int:
    """Number of processes: CAPTCHA_WORKERS, or one per core that this process may use."""
    asked = os.environ.get("CAPTCHA_WORKERS", "")
    if not asked:
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    if not asked.isdecimal() or int(asked) < 1:
        raise ValueError(f"CAPTCHA_WORKERS should be a whole number of at least 1, got {asked!r}")
    return int(asked)


def run_cost() -> str:
    """CPU time of this process and its finished workers, start-up included, and the peak memory of the largest one.

    On Linux a program inherits the peak of the process that it replaces: a small stage may show the peak of DVC.
    """
    import resource  # imported here: Windows has no such module

    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    unit = (
        1 << 20 if sys.platform == "darwin" else 1 << 10
    )  # of ru_maxrss: bytes there, KiB elsewhere
    return f"{cpu:.1f} CPU s, peak {max(usage.ru_maxrss for usage in usages) / unit:.0f} MiB"


def progress(message: str) -> None:
    """One flushed line, named after the DVC stage."""
    print(f"[{os.environ.get('DVC_STAGE', 'stage')}] {message}", flush=True)
