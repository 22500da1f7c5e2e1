import functools

import pytest

from snakepit import Adapter, tool
from snakepit.adapter import tools_of
from snakepit.failures import InvalidTool


class Hello(Adapter):
    @tool
    def greet(self, name: str, times: int = 1) -> str:
        """Greets somebody.

        And more about it.
        """
        return " ".join([f"Hello, {name}!"] * times)

    @tool
    def count(self, to: int):
        yield from range(1, to + 1)

    @tool(name="text.upper", description="Shouts.")
    def upper(self, text: str):
        return text.upper()

    @tool
    @staticmethod
    def double(x: int):
        return 2 * x

    @classmethod
    @tool
    def who(cls):
        return cls.__name__

    def no_tool(self):
        pass

    @property
    def trap(self):
        raise AssertionError("properties are not touched")


def test_tools():
    tools = tools_of(Hello())
    assert list(tools) == ["count", "double", "greet", "text.upper", "who"]
    assert [name for name, each in tools.items() if each.streaming] == ["count"]
    assert tools["greet"].description == "Greets somebody."
    assert tools["greet"].usage == "greet(name: str, times: int = 1)"
    assert tools["greet"].function(name="Ada", times=2) == "Hello, Ada! Hello, Ada!"
    assert list(tools["count"].function(to=3)) == [1, 2, 3]
    assert (tools["text.upper"].description, tools["count"].description) == ("Shouts.", "")
    assert tools["double"].function(x=2) == 4
    assert tools["who"].function() == "Hello"


def test_inheritance():
    class Quiet(Hello):
        def upper(self, text: str):
            return text  # no tool any more

        @tool
        def greet(self) -> str:
            return "-"

    tools = tools_of(Quiet())
    assert "text.upper" not in tools
    assert tools["greet"].usage == "greet()"


def test_decorators_that_wrap():
    def loud(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs).upper()

        return wrapper

    class Wrapped(Adapter):
        @tool
        @loud
        def first(self, text: str):
            return text

        @loud
        @tool
        def second(self, text: str):
            return text

    tools = tools_of(Wrapped())
    assert [each.usage for each in tools.values()] == ["first(text: str)", "second(text: str)"]
    assert tools["second"].function(text="a") == "A"


class Async(Adapter):
    @tool
    async def fetch(self):
        pass


class AsyncStream(Adapter):
    @tool
    async def fetch(self):
        yield 1


class Twice(Adapter):
    @tool(name="a")
    def first(self):
        pass

    @tool(name="a")
    def second(self):
        pass


class BadName(Adapter):
    @tool(name="a b")
    def first(self):
        pass


class BadHint(Adapter):
    @tool
    def first(self, x: complex):
        pass


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Async, r"tool fetch \(.*test_adapter.py:\d+\): async def is not supported"),
        (AsyncStream, "async def is not supported"),
        (Twice, "tool a .*: two methods have this name"),
        (BadName, "a name has letters"),
        (BadHint, "tool first .*: parameter 'x': the type complex"),
    ],
)
def test_tools_that_cannot_be_served(kind, message):
    with pytest.raises(InvalidTool, match=message):
        tools_of(kind())


def test_tool_marks_callables_only():
    with pytest.raises(TypeError, match=r"write @tool\(name=\.\.\.\)"):
        tool("name")
