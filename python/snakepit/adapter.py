"""What people write: adapters, and methods marked as tools."""

import contextlib
import copy
import inspect
import re

from snakepit.failures import InvalidTool
from snakepit.params import Parameters

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_MARK = "__snakepit_tool__"


class Adapter:
    """Holds the tools of a worker. It is made once, when the worker starts.

    Tools run in threads: two at once when two calls come at once. close() is
    called when the worker ends in an orderly way; it is short, because the
    grace time is nearly over then.
    """

    def close(self):
        """Lets go of what the adapter holds."""


def tool(function=None, *, name=None, description=None):
    """Marks a method as a tool: @tool or @tool(name=..., description=...).

    Without these the tool has the method's name, and the first line of its
    docstring describes it.
    """

    def mark(target):
        inner = getattr(target, "__func__", target)
        if not callable(inner):
            raise TypeError(f"@tool marks a method, not {target!r}; write @tool(name=...)")
        setattr(inner, _MARK, (name, description))
        return target

    return mark if function is None else mark(function)


class Tool:
    """One tool of an adapter instance: name, description, streaming (whether
    it is a generator), parameters, and the function to call."""

    def __init__(self, attribute, method, function):
        name, description = inspect.getattr_static(method, _MARK)
        self.name = name or attribute
        self.description = description or _first_line(method)
        self.function = function
        self.streaming = inspect.isgeneratorfunction(inspect.unwrap(method))
        try:
            if not _NAME.fullmatch(self.name):
                raise InvalidTool("a name has letters, digits, '_', '.' and '-' only")
            if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
                raise InvalidTool("async def is not supported, write def")
            self.parameters = Parameters(function)
        except InvalidTool as error:
            raise InvalidTool(f"tool {self.name}{_place(method)}: {error}") from None

    def of(self, function):
        """The same tool of another instance, whose method this is."""
        same = copy.copy(self)
        same.function = function
        return same

    @property
    def usage(self):
        """The call as a person writes it: add(a: float, b: float)."""
        return self.name + self.parameters.text


def tools_of(adapter):
    """The tools of an adapter instance by name, sorted; raises InvalidTool."""
    found = {}
    for attribute, method in _marked(type(adapter)):
        function = getattr(adapter, attribute)
        known = _known.get(method)
        each = known.of(function) if known else Tool(attribute, method, function)
        if each.name in found:
            raise InvalidTool(f"tool {each.name}{_place(method)}: two methods have this name")
        found[each.name] = each
    return dict(sorted(found.items()))


_known = {}  # tools of classes that were looked at before, by their function


def look_at(kind):
    """Reads the signatures of an adapter's tools before there is an instance. What
    is wrong with them is told when there is one."""
    for attribute, method in _marked(kind):
        with contextlib.suppress(Exception):
            _known[method] = Tool(attribute, method, getattr(object.__new__(kind), attribute))


def _marked(kind):
    for attribute in dir(kind):
        method = inspect.getattr_static(kind, attribute)
        if isinstance(method, (staticmethod, classmethod)):
            method = method.__func__
        if inspect.getattr_static(method, _MARK, None) is not None:
            yield attribute, method


def _first_line(method):
    return (inspect.getdoc(method) or "").partition("\n")[0].strip()


def _place(method):
    code = getattr(inspect.unwrap(method), "__code__", None)
    return f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
