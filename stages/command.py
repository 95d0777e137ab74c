"""Run a stage as a command: an error is one line, the last line is the cost, and no worker outlives its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def run(stage: Callable[[], None]) -> None:
    """Run the main function of a stage. Bad input prints one line and exits with 1; an interrupt exits with 130. Under
    DVC, the last line is the cost."""
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
    """Let Linux end this process when its parent dies (a training would outlive a killed DVC); elsewhere a no-op."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # the parent died before the call
        os.kill(os.getpid(), signal.SIGTERM)


def worker_count() -> int:
    """Number of processes: CAPTCHA_WORKERS, or one per available core. Raises ValueError where it is no number >= 1."""
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
    """CPU time of this process and its finished workers, with start-up, and the peak memory of the largest process.

    On Linux, a program inherits the peak of the process that it replaces: a small stage may show the peak of DVC.
    """
    import resource  # imported here: Windows has no such module

    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # ru_maxrss is in bytes there, else KiB
    return f"{cpu:.1f} CPU s, peak {max(usage.ru_maxrss for usage in usages) / unit:.0f} MiB"


def progress(message: str) -> None:
    """Print one flushed line that starts with the name of the DVC stage."""
    print(f"[{os.environ.get('DVC_STAGE', 'stage')}] {message}", flush=True)
