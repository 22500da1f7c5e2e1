"""The worker's side of BridgeService: calls come in, tools run."""

import inspect

import grpc

from snakepit import bridge_pb2, bridge_pb2_grpc, call, codec, params
from snakepit.failures import InvalidParameters, UnknownTool

_CODES = {
    InvalidParameters: grpc.StatusCode.INVALID_ARGUMENT,
    UnknownTool: grpc.StatusCode.NOT_FOUND,
    call.Cancelled: grpc.StatusCode.CANCELLED,
}


class Bridge(bridge_pb2_grpc.BridgeServiceServicer):
    """Serves the tools of one adapter.

    tools is what adapter.tools_of returned, sessions one of the classes in
    host.py; health is told when tools run.
    """

    def __init__(self, tools, sessions, telemetry, health):
        self._tools = tools
        self._sessions = sessions
        self._telemetry = telemetry
        self._health = health

    def Ping(self, request, context):
        response = bridge_pb2.PingResponse(message=request.message or "pong")
        response.server_time.GetCurrentTime()
        return response

    def InitializeSession(self, request, context):
        response = self._sessions.initialize(request, context)
        for each in self._tools.values():
            response.available_tools[each.name].CopyFrom(spec(each))
        return response

    def CleanupSession(self, request, context):
        return self._sessions.cleanup(request, context)

    def GetSession(self, request, context):
        response = self._sessions.get(request, context)
        response.tool_count = response.tool_count or len(self._tools)
        return response

    def Heartbeat(self, request, context):
        return self._sessions.heartbeat(request, context)

    def StreamTelemetry(self, request_iterator, context):
        return self._telemetry.serve(request_iterator, context)

    def ExecuteTool(self, request, context):
        """Runs a tool; a generator's items come as one list. An error of the
        tool is success=false, with a JSON object in error_message."""
        response = bridge_pb2.ExecuteToolResponse()
        span = self._begin(request, context)
        try:
            result = self._invoke(request)
            if inspect.isgenerator(result):
                result = _collect(result)
            codec.fill_result(response, result)
            response.success = True
        except BaseException as failure:  # sys.exit() in a tool is an error too
            response.Clear()
            response.error_message = codec.error_json(failure, _trace(failure))
        finally:
            self._finish()
        response.execution_time_ms = round(span.end(not response.success) / 1e6)
        return response

    def ExecuteStreamingTool(self, request, context):
        """Runs a tool and sends each item of its generator as a chunk of JSON.
        The last message has is_final and no data; only the result of a tool
        that is no generator comes in one final chunk with data. An error ends
        the stream with a status whose details are the error's JSON object."""
        span = self._begin(request, context)
        failed, result = True, None
        try:
            result = self._invoke(request)
            if inspect.isgenerator(result):
                yield from _chunks(request.tool_name, result)
            else:
                yield _chunk(request.tool_name, 0, codec.dumps(result), final=True)
            failed = False
        except GeneratorExit:  # the client left
            raise
        except BaseException as failure:
            details = codec.error_details(failure, _trace(failure))
            code = _CODES.get(type(failure), grpc.StatusCode.INTERNAL)
            context.abort(code, details)
        finally:
            if inspect.isgenerator(result):
                result.close()  # its finally blocks run in the tool's own thread
            self._finish()
            span.end(failed)

    def _begin(self, request, context):
        self._health.begin_call()
        call.set_current(call.Call(context))
        correlation_id = request.metadata.get("correlation_id", "")
        return self._telemetry.span(request.tool_name, correlation_id)

    def _finish(self):
        call.set_current(None)
        self._health.end_call()

    def _invoke(self, request):
        tool = self._tools.get(request.tool_name)
        if tool is None:
            names = list(self._tools)
            raise UnknownTool(
                f"no tool '{request.tool_name}'; there are: {', '.join(names)}", {"tools": names}
            )
        arguments = tool.parameters.bind(tool.name, codec.parameters(request))
        self._sessions.open_for_call(request.session_id)
        call.current_call().check()  # it may have waited for a thread too long
        return tool.function(**arguments)


def spec(tool):
    """The description of a tool on the wire."""
    message = bridge_pb2.ToolSpec(
        name=tool.name, description=tool.description, supports_streaming=tool.streaming
    )
    message.metadata["usage"] = tool.usage
    for item in tool.parameters.items.values():
        kind, description = params.describe(item)
        parameter = message.parameters.add(name=item.name, type=kind, description=description)
        parameter.required = item.default is item.empty
        if not parameter.required:
            try:
                codec.fill_any(parameter.default_value, item.default)
            except codec.UnserializableResult:
                parameter.ClearField("default_value")
    return message


def _collect(items):
    collected = []
    running = call.current_call()
    for item in items:
        running.check()
        collected.append(item)
    return collected


def _chunks(name, items):
    count = 0
    for count, item in enumerate(items, start=1):
        yield _chunk(name, count - 1, codec.dumps(item))
    yield _chunk(name, count, b"", final=True)


def _chunk(name, number, data, final=False):
    return bridge_pb2.ToolChunk(chunk_id=f"{name}-{number}", data=data, is_final=final)


def _trace(failure):
    """The failure's traceback from the tool's first frame on."""
    trace = failure.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace
