"""The errors that a worker reports to others, by name."""


class StartFailure(Exception):
    """The worker cannot start.

    kind is a word for programs, message one line for a person, hint what to
    type next (may be empty), trace a Python traceback for stderr (may be
    empty).
    """

    def __init__(self, kind, message, hint="", trace=""):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
        self.trace = trace


class InvalidTool(Exception):
    """A method marked @tool has a signature that cannot be served."""


class ToolError(Exception):
    """A call that failed outside of the tool's own code.

    The name of the subclass is the error's type on the wire; context is a
    JSON object for programs.
    """

    def __init__(self, message, context=None):
        super().__init__(message)
        self.context = context or {}


class UnknownTool(ToolError):
    """The adapter has no tool of that name."""


class InvalidParameters(ToolError):
    """The parameters do not fit the tool's signature."""


class UnserializableResult(ToolError):
    """The tool returned something that JSON cannot carry."""


class SessionFailure(ToolError):
    """The host did not open the session that the call names."""
