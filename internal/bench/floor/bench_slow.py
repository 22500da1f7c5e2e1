"""An adapter whose import takes half a second of processor time."""

import time

from snakepit import Adapter, tool

began = time.process_time()
while time.process_time() - began < 0.5:
    pass


class Slow(Adapter):
    """Has imported a lot."""

    @tool
    def ping(self) -> str:
        """Answers pong."""
        return "pong"
