"""Pieces of a batch on all cores: one thread a core, each piece on one thread.

PyTorch itself divides every single operation among the cores, and waits for the slowest each time; with a dozen short
operations a piece, and other programs on the machine, that waiting costs more than the work.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch


def run_pieces(work: Callable[[int], None], count: int) -> None:
    """Call ``work`` with 0..count - 1, on as many threads as PyTorch may use. Raises what it raises."""
    threads = torch.get_num_threads()
    if threads == 1 or count == 1:
        for piece in range(count):
            work(piece)
    else:
        for _ in _pool(threads).map(work, range(count)):
            pass


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    started = threading.Barrier(threads + 1)

    def start() -> None:
        torch.set_num_threads(1)
        started.wait()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="fercore-views", initializer=start)
    for _ in range(threads):
        pool.submit(int)
    started.wait()
    torch.set_num_threads(threads)  # PyTorch keeps the last number set by any thread for threads yet to come
    return pool


if hasattr(os, "register_at_fork"):  # a forked process has none of the threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
