"""JSON on the wire, in both directions.

Values travel as raw JSON inside a protobuf Any. Bytes have no JSON form: alone
they travel beside it, inside other values as a base64 string. JSON is strict:
there is no NaN and no Infinity. Nothing that came over the wire is unpickled.
"""

import base64
import json
import traceback

from snakepit.failures import InvalidParameters, ToolError, UnserializableResult

PREFIX = "type.googleapis.com/snakepit."

# An error in a unary response may be as long as this many characters ...
MESSAGE_LIMIT = 16 * 1024
TRACEBACK_LIMIT = 64 * 1024
# ... and one in a stream's status travels in a header: gRPC allows 8 KiB there.
DETAILS_LIMIT = 6000

_BYTES = (bytes, bytearray, memoryview)
_TYPES = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "float"),
    (str, "string"),
    ((list, tuple), "list"),
    (dict, "map"),
    (_BYTES, "binary"),
)


def loads(data):
    """Parses strict JSON; raises ValueError."""
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(name):
    raise ValueError(f"{name} is not JSON")


def dumps(value):
    """Writes strict JSON as UTF-8; raises UnserializableResult."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, default=_default)
        return text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise UnserializableResult(f"cannot send the result as JSON: {error}") from None


def _default(value):
    if isinstance(value, _BYTES):
        return base64.b64encode(value).decode("ascii")
    raise TypeError(f"{type(value).__name__} has no JSON form")


def type_url(value):
    """The type_url of a value's Any."""
    if value is None:
        return PREFIX + "null"
    for types, name in _TYPES:
        if isinstance(value, types):
            return PREFIX + name
    return PREFIX + "any"


def fill_any(message, value):
    """Puts a value into a protobuf Any."""
    message.value = dumps(value)
    message.type_url = type_url(value)


def fill_result(response, value):
    """Puts a tool's result into an ExecuteToolResponse. A result of bytes goes
    to binary_result, and the JSON result is null then."""
    if isinstance(value, _BYTES):
        response.binary_result = bytes(value)
        response.result.value = b"null"
        response.result.type_url = PREFIX + "binary"
    else:
        fill_any(response.result, value)


def parameters(request):
    """The parameters of an ExecuteToolRequest by name."""
    values = {}
    for name, wrapped in request.parameters.items():
        try:
            values[name] = loads(wrapped.value)
        except ValueError as error:
            raise InvalidParameters(
                f"{request.tool_name}() parameter '{name}' is not JSON: {error}"
            ) from None
    for name, data in request.binary_parameters.items():
        if name in values:
            raise InvalidParameters(f"{request.tool_name}() got the parameter '{name}' twice")
        values[name] = data
    return values


def error(failure, trace):
    """The JSON object for a failed call; trace is where the failure's
    traceback begins, without the worker's own frames."""
    expected = isinstance(failure, ToolError)
    lines = traceback.format_exception(type(failure), failure, None if expected else trace)
    return {
        "type": type(failure).__name__,
        "message": _clip(_text(failure), MESSAGE_LIMIT),
        "stacktrace": [_clip(line, MESSAGE_LIMIT) for line in lines[:200]],
        "traceback": _clip("".join(lines), TRACEBACK_LIMIT),
        "context": failure.context if expected else {},
    }


def error_json(failure, trace):
    """The error_message of a response."""
    return json.dumps(error(failure, trace))


def error_details(failure, trace):
    """The same for a stream's status: pure ASCII, and cut to what fits."""
    document = error(failure, trace)
    text = json.dumps(document)
    if _header_length(text) > DETAILS_LIMIT:
        document["stacktrace"] = []
        document["message"] = _clip(document["message"], 500)
        if len(json.dumps(document["context"])) > 1000:
            document["context"] = {}
        text = json.dumps(document)
    while _header_length(text) > DETAILS_LIMIT and document["traceback"]:
        document["traceback"] = _tail(document["traceback"])
        text = json.dumps(document)
    return text


def _text(failure):
    try:
        return str(failure)
    except Exception:
        return "(its message cannot be shown)"


def _header_length(text):
    # gRPC percent-encodes the percent sign itself: three bytes for one.
    return len(text) + 2 * text.count("%")


def _tail(text):
    return "..." + text[-(len(text) * 2 // 3) :] if len(text) > 20 else ""


def _clip(text, limit):
    return text if len(text) <= limit else text[:limit] + f"... ({len(text)} characters)"
