import json

import pytest

from snakepit import bridge_pb2, codec
from snakepit.failures import InvalidParameters, UnknownTool, UnserializableResult


@pytest.mark.parametrize(
    ("value", "text", "kind"),
    [
        (None, b"null", "null"),
        (True, b"true", "boolean"),
        (5, b"5", "integer"),
        (0.5, b"0.5", "float"),
        ("ä€", '"ä€"'.encode(), "string"),
        ([1, (2, 3)], b"[1, [2, 3]]", "list"),
        ((), b"[]", "list"),
        ({"a": b"hi"}, b'{"a": "aGk="}', "map"),
    ],
)
def test_result(value, text, kind):
    response = bridge_pb2.ExecuteToolResponse()
    codec.fill_result(response, value)
    assert response.result.value == text
    assert response.result.type_url == "type.googleapis.com/snakepit." + kind
    assert response.binary_result == b""


@pytest.mark.parametrize("value", [b"\x00\xff", bytearray(b"\x00\xff"), memoryview(b"\x00\xff")])
def test_binary_result(value):
    response = bridge_pb2.ExecuteToolResponse()
    codec.fill_result(response, value)
    assert response.binary_result == b"\x00\xff"
    assert response.result.value == b"null"
    assert response.result.type_url == "type.googleapis.com/snakepit.binary"


def circle():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [float("nan"), [float("inf")], {1, 2}, object(), "\ud800", circle(), {(1, 2): 3}],
    ids=repr,
)
def test_results_without_json_form(value):
    with pytest.raises(UnserializableResult, match="as JSON"):
        codec.dumps(value)


def test_parameters():
    request = bridge_pb2.ExecuteToolRequest(tool_name="t", binary_parameters={"b": b"\x00"})
    request.parameters["a"].value = b'{"x": [1, 2.5, null]}'
    assert codec.parameters(request) == {"a": {"x": [1, 2.5, None]}, "b": b"\x00"}


@pytest.mark.parametrize("raw", [b"", b"{", b"NaN", b"-Infinity", b"\xff", b"[" * 100000, b"1 2"])
def test_parameters_that_are_not_json(raw):
    request = bridge_pb2.ExecuteToolRequest(tool_name="t")
    request.parameters["a"].value = raw
    with pytest.raises(InvalidParameters, match=r"t\(\) parameter 'a' is not JSON"):
        codec.parameters(request)


def test_a_parameter_given_twice():
    request = bridge_pb2.ExecuteToolRequest(tool_name="t", binary_parameters={"a": b""})
    request.parameters["a"].value = b"1"
    with pytest.raises(InvalidParameters, match="'a' twice"):
        codec.parameters(request)


def fail(depth, message):
    if depth:
        fail(depth - 1, message)
    raise ValueError(message)


def caught(depth, message):
    try:
        fail(depth, message)
    except ValueError as error:
        return error


def test_error():
    error = caught(1, "no good")
    document = json.loads(codec.error_json(error, error.__traceback__))
    assert (document["type"], document["message"]) == ("ValueError", "no good")
    assert document["traceback"] == "".join(document["stacktrace"])
    assert "raise ValueError(message)" in document["traceback"]
    assert document["traceback"].endswith("ValueError: no good\n")
    assert document["context"] == {}


def test_error_of_the_worker_has_no_stack():
    try:
        raise UnknownTool("no tool", {"tools": ["a"]})
    except UnknownTool as error:
        document = codec.error(error, error.__traceback__)
    assert document["context"] == {"tools": ["a"]}
    assert "File" not in document["traceback"]


def test_error_whose_text_raises():
    class Bad(Exception):
        def __str__(self):
            raise RuntimeError

    assert "cannot be shown" in codec.error(Bad(), None)["message"]


@pytest.mark.parametrize("message", ["short", "x" * 100_000, "%" * 100_000, "\n\x00ä" * 50_000])
def test_error_details_fit_into_a_header(message):
    error = caught(60, message)
    text = codec.error_details(error, error.__traceback__)
    assert text.isascii()
    assert len(text) + 2 * text.count("%") <= codec.DETAILS_LIMIT
    assert json.loads(text)["type"] == "ValueError"
    assert json.loads(text)["message"].startswith(message[:100])


def test_long_errors_are_cut():
    error = caught(0, "x" * 1_000_000)
    assert len(codec.error_json(error, error.__traceback__)) < 300_000
