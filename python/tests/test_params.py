import typing
from typing import Annotated, Any, Literal, Optional, Union

import pytest

from snakepit.failures import InvalidParameters, InvalidTool
from snakepit.params import Parameters, describe


class Options(typing.TypedDict):
    depth: int


def with_hint(hint):
    def tool(x):
        pass

    tool.__annotations__["x"] = hint
    return Parameters(tool)


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (int, [0, -3, 10**30], [1.0, True, "1", None, [1], b"1"]),
        (float, [0.5, 3], [False, "0.5", None, {}]),
        (str, ["", "ä"], [1, None, [], b"raw"]),
        (bool, [True, False], [0, 1, "true", None]),
        (None, [None], [0, ""]),
        (list, [[], [1, "a", None]], [{}, "ab", None]),
        (dict, [{}, {"a": 1}], [[], "ab", None]),
        (list[int], [[], [1, 2]], [[1, "a"], [True], {}, 1]),
        (dict[str, float], [{}, {"a": 1, "b": 0.5}], [{"a": "b"}, [], None]),
        (dict[str, list[int]], [{"a": [1]}], [{"a": 1}, {"a": ["b"]}]),
        (Optional[int], [None, 1], ["1", 1.5]),  # noqa: UP045
        (int | None, [None, 1], ["1", 1.5]),
        (Union[int, str], [1, "a"], [None, 1.5, []]),  # noqa: UP007
        (list[int | None], [[1, None]], [["a"]]),
        (Literal["a", 2], ["a", 2], ["b", 2.0, True, None]),
        (Literal[1], [1], [True, 1.0]),
        (Any, [None, 1, "a", [1], {"a": 1}, b"raw"], []),
        (object, [None, 1, "a"], []),
        (Options, [{"depth": 1}], [[], "a"]),
        (Annotated[int, ["unhashable"]], [1], ["1"]),
        (typing.List[int], [[1]], [["a"]]),  # noqa: UP006
    ],
)
def test_hint(hint, good, bad):
    parameters = with_hint(hint)
    for value in good:
        bound = parameters.bind("tool", {"x": value})["x"]
        assert bound == value and type(bound) is type(value)
    for value in bad:
        with pytest.raises(InvalidParameters, match="parameter 'x' must be"):
            parameters.bind("tool", {"x": value})


def test_bytes():
    parameters = with_hint(bytes)
    assert parameters.bind("tool", {"x": "aGk="}) == {"x": b"hi"}
    assert parameters.bind("tool", {"x": b"hi"}) == {"x": b"hi"}
    for bad in ["a", "***", 1, None, ["aGk="]]:
        with pytest.raises(InvalidParameters):
            parameters.bind("tool", {"x": bad})


def add(a: float, b: float = 2.5) -> "nowhere.to.be.found":  # noqa: F821
    pass


def anything(first: int, **rest):
    pass


@pytest.mark.parametrize(
    ("function", "values", "message"),
    [
        (add, {"a": 1, "c": 2}, "add() takes no parameter 'c': add(a: float, b: float = 2.5)"),
        (add, {"b": 2}, "add() needs the parameter 'a': add(a: float, b: float = 2.5)"),
        (
            add,
            {"a": "x"},
            "add() parameter 'a' must be float, not \"x\": add(a: float, b: float = 2.5)",
        ),
        (
            add,
            {"a": b"raw"},
            "add() parameter 'a' must be float, not 3 bytes: add(a: float, b: float = 2.5)",
        ),
        (anything, {}, "anything() needs the parameter 'first': anything(first: int, **rest)"),
    ],
)
def test_messages(function, values, message):
    with pytest.raises(InvalidParameters) as caught:
        Parameters(function).bind(function.__name__, values)
    assert str(caught.value) == message


def test_long_values_are_cut_in_messages():
    with pytest.raises(InvalidParameters) as caught:
        Parameters(add).bind("add", {"a": "x" * 1000})
    assert len(str(caught.value)) < 200


def test_defaults_stay_away():
    assert Parameters(add).bind("add", {"a": 1}) == {"a": 1}


def test_keywords_take_anything():
    values = {"first": 1, "other": [None], "raw": b"x"}
    assert Parameters(anything).bind("anything", values) == values


def test_a_default_of_none_allows_null():
    def tool(x: int = None):  # noqa: RUF013
        pass

    assert Parameters(tool).bind("tool", {"x": None}) == {"x": None}


def test_hints_as_text():
    def tool(x: "list[int]", y: "Optional[int]" = None):  # noqa: UP045
        pass

    parameters = Parameters(tool)
    assert parameters.text == "(x: list[int], y: Optional[int] = None)"
    with pytest.raises(InvalidParameters):
        parameters.bind("tool", {"x": ["a"]})


def test_describe():
    def tool(x: Annotated[int, "how many"], y, z: dict[str, int]):
        pass

    items = Parameters(tool).items
    assert [describe(items[name]) for name in "xyz"] == [
        ("int", "how many"),
        ("Any", ""),
        ("dict[str, int]", ""),
    ]


def positional(x, /):
    pass


def several(*xs):
    pass


def unknown(x: "nowhere"):  # noqa: F821
    pass


def complicated(x: list[complex]):
    pass


def odd_keys(x: dict[int, str]):
    pass


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (positional, "'x' cannot be given by name"),
        (several, "'xs' cannot be given by name"),
        (unknown, "'nowhere' is not defined"),
        (complicated, "parameter 'x': the type complex cannot be sent as JSON"),
        (odd_keys, "keys of a JSON object are str"),
    ],
)
def test_signatures_that_cannot_be_served(function, message):
    with pytest.raises(InvalidTool, match=message):
        Parameters(function)
