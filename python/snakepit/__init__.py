"""What an adapter needs.

    from snakepit import Adapter, tool

    class Hello(Adapter):
        @tool
        def greet(self, name: str, times: int = 1) -> str:
            "Greets somebody."
            return " ".join([f"Hello, {name}!"] * times)

        @tool
        def count(self, to: int):
            yield from range(1, to + 1)

Type hints describe and check the parameters; a generator streams its items.
A tool that takes long asks current_call() whether anybody still waits for it.
The other modules of this package are the worker itself and may change.
"""

from snakepit.adapter import Adapter, tool
from snakepit.call import Call, Cancelled, current_call

__all__ = ["Adapter", "Call", "Cancelled", "current_call", "tool"]
