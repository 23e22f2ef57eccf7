"""When something is due that a run does now and then."""

import time
from dataclasses import dataclass, field


@dataclass
class Every:
    """Due when so many steps, or so many seconds, have passed since it last was; 0: not by that measure."""

    steps: int
    seconds_s: float
    _last_s: float = field(default_factory=time.monotonic)

    def due(self, step: int) -> bool:
        """Whether it is due after optimiser step `step` (from 1); then the seconds count from now."""
        by_time = self.seconds_s > 0 and time.monotonic() - self._last_s >= self.seconds_s
        if by_time or (self.steps > 0 and step % self.steps == 0):
            self._last_s = time.monotonic()
            return True
        return False
