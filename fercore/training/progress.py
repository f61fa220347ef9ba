"""What a long run shows while it works, and how it takes Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from tqdm.auto import tqdm

from fercore.batch import Clock

TIMED_FROM, TIMED_TO = 3, 10
"""The estimate of the whole time rests on these steps of the run; the first ones are slow."""


class ProgressBar:
    """One bar over all steps, on stderr, with the loss terms by name and the time left; before it, an estimate."""

    def __init__(self, start: Clock, visible: bool = True):
        self.first, self.total, self.epochs, self.visible = start.step, start.steps, start.epochs, visible
        self.bar = tqdm(total=start.steps, initial=start.step, unit="step", disable=not visible, mininterval=0.5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def advance(self) -> None:
        """One step more."""
        self.bar.update()
        steps = self.bar.n - self.first if self.visible else 0
        if steps == TIMED_FROM:
            self.started = time.monotonic()
        elif steps == TIMED_TO and self.bar.n + TIMED_TO < self.total:
            left = (time.monotonic() - self.started) / (TIMED_TO - TIMED_FROM) * (self.total - self.bar.n)
            say(f"{self.total - self.bar.n} steps left will take about {duration(left)}")

    def show(self, epoch: int, terms: dict[str, float]) -> None:
        """The epoch and the mean of each loss term so far in it."""
        self.bar.set_description(f"epoch {epoch + 1}/{self.epochs}", refresh=False)
        self.bar.set_postfix({name: f"{value:.3f}" for name, value in terms.items()}, refresh=False)


class InterruptLater:
    """Ctrl-C sets ``asked``, so that a step ends before the run does; a second Ctrl-C stops at once.

    So does SIGTERM, which clusters send before they kill; not where one of several processes would wait for the others.
    Outside the main thread, where Python does not allow handlers, Ctrl-C acts as usual.
    """

    asked = False

    def __enter__(self) -> Self:
        self.in_main = threading.current_thread() is threading.main_thread()
        alone = os.environ.get("WORLD_SIZE", "1") == "1"
        taken = ((signal.SIGINT, signal.SIGTERM) if alone else (signal.SIGINT,)) if self.in_main else ()
        self.previous = {number: signal.signal(number, self._ask) for number in taken}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if callable(earlier := self.previous[number]):
            with suppress(KeyboardInterrupt):
                earlier(number, frame)  # who waited for it before notes which signal it was
        say("stopping after this step; press Ctrl-C again to stop at once")


def say(text: str) -> None:
    """A line to stderr that does not tear a progress bar."""
    tqdm.write(text, file=sys.stderr)


def duration(seconds: float) -> str:
    """7 s, 3 min 20 s, 2 h 5 min."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"
