"""A tool's parameters: read from its signature, checked at every call."""

import base64
import inspect
import json
import types
import typing

from snakepit.failures import InvalidParameters, InvalidTool

_EMPTY = inspect.Parameter.empty


class Mismatch(Exception):
    """A value does not fit a type hint."""


class Parameters:
    """The parameters of one function.

    text is the signature as a person writes it, without self and result;
    items are the parameters as inspect.Parameter, with their hints resolved.
    """

    def __init__(self, function):
        signature = _resolved(function)
        self.text = str(signature)
        self.items = {}
        self._converters = {}
        self._open = False
        for name, item in signature.parameters.items():
            if item.kind is item.VAR_KEYWORD:
                self._open = True
            elif item.kind in (item.VAR_POSITIONAL, item.POSITIONAL_ONLY):
                raise InvalidTool(f"parameter '{name}' cannot be given by name")
            else:
                self.items[name] = item
                self._converters[name] = _converter(item)

    def bind(self, tool, values):
        """The arguments for a call from decoded values; raises
        InvalidParameters."""

        def refuse(reason):
            raise InvalidParameters(f"{tool}() {reason}: {tool}{self.text}", {"tool": tool})

        for name in values:
            if name not in self.items and not self._open:
                refuse(f"takes no parameter '{name}'")
        for name, item in self.items.items():
            if name not in values and item.default is _EMPTY:
                refuse(f"needs the parameter '{name}'")
        arguments = {}
        for name, value in values.items():
            try:
                arguments[name] = self._converters.get(name, _anything)(value)
            except Mismatch:
                hint = inspect.formatannotation(self.items[name].annotation)
                refuse(f"parameter '{name}' must be {hint}, not {_given(value)}")
        return arguments


def describe(item):
    """The type and the description of a parameter, as text. A description is
    the first string of an Annotated[...] hint."""
    hint, description = item.annotation, ""
    if typing.get_origin(hint) is typing.Annotated:
        hint, *notes = typing.get_args(hint)
        description = next((note for note in notes if isinstance(note, str)), "")
    return "Any" if hint is _EMPTY else inspect.formatannotation(hint), description


def _resolved(function):
    try:
        signature = inspect.signature(function)
        items = [
            item.replace(annotation=_resolve(item, function))
            for item in signature.parameters.values()
        ]
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise InvalidTool(f"a type hint cannot be evaluated: {error}") from None
    return signature.replace(parameters=items, return_annotation=_EMPTY)


def _resolve(item, function):
    # One by one, so that the hint of the result, which nobody needs here, may
    # name things that exist for type checkers only.
    if item.annotation is _EMPTY:
        return _EMPTY
    holder = types.SimpleNamespace(__annotations__={"hint": item.annotation})
    names = getattr(inspect.unwrap(function), "__globals__", {})
    return typing.get_type_hints(holder, globalns=names, include_extras=True)["hint"]


def _converter(item):
    try:
        convert = compile_hint(item.annotation)
    except InvalidTool as error:
        raise InvalidTool(f"parameter '{item.name}': {error}") from None
    if item.default is None:
        return lambda value: None if value is None else convert(value)
    return convert


def compile_hint(hint):
    """A function that returns a decoded JSON value (or bytes) as the hint
    wants it, or raises Mismatch. Raises InvalidTool for a hint that no JSON
    value can satisfy."""
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin is typing.Annotated:
        return compile_hint(arguments[0])
    if hint in (_EMPTY, typing.Any, object):
        return _anything
    if hint in _SCALARS:
        return _SCALARS[hint]
    if typing.is_typeddict(hint):
        return _of(dict)
    if origin in (typing.Union, types.UnionType):
        return _first_of([compile_hint(argument) for argument in arguments])
    if origin is typing.Literal:
        return _one_of(arguments)
    if origin is list:
        return _list(*arguments[:1])
    if origin is dict:
        return _dict(*arguments)
    raise InvalidTool(f"the type {inspect.formatannotation(hint)} cannot be sent as JSON")


def _anything(value):
    return value


def _of(kind):
    def convert(value):
        if not isinstance(value, kind):
            raise Mismatch
        return value

    return convert


def _number(*kinds):
    # A bool is an int in Python, but nobody means it so.
    def convert(value):
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise Mismatch
        return value

    return convert


def _bytes(value):
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        raise Mismatch from None


_SCALARS = {
    None: _of(type(None)),
    type(None): _of(type(None)),
    bool: _of(bool),
    int: _number(int),
    float: _number(int, float),
    str: _of(str),
    bytes: _bytes,
}


def _first_of(converters):
    def convert(value):
        for each in converters:
            try:
                return each(value)
            except Mismatch:
                continue
        raise Mismatch

    return convert


def _one_of(choices):
    def convert(value):
        for choice in choices:
            if type(value) is type(choice) and value == choice:
                return value
        raise Mismatch

    return convert


def _list(item=typing.Any):
    check, convert_item = _of(list), compile_hint(item)
    return lambda value: [convert_item(each) for each in check(value)]


def _dict(key=str, item=typing.Any):
    if key not in (str, typing.Any):
        raise InvalidTool("the keys of a JSON object are str")
    check, convert_item = _of(dict), compile_hint(item)
    return lambda value: {name: convert_item(each) for name, each in check(value).items()}


def _given(value):
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:60] + "..."
