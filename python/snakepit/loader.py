"""Finds the adapter, imports it, makes its instance. Everything that can go
wrong on the way gets a kind and a sentence of its own."""

import importlib
import sys
import traceback

from snakepit.adapter import Adapter, look_at, tools_of
from snakepit.failures import InvalidTool, StartFailure


def load(module_name, class_name):
    """The adapter's instance and its tools by name; raises StartFailure."""
    module = _import(module_name)
    kind = _class(module, class_name)
    adapter = _construct(kind)
    return adapter, _tools(adapter, class_name)


def _tools(adapter, class_name):
    try:
        tools = tools_of(adapter)
    except InvalidTool as error:
        raise StartFailure("adapter_invalid", f"adapter {class_name}: {error}") from None
    if not tools:
        raise StartFailure(
            "adapter_invalid",
            f"adapter {class_name} has no tools",
            "mark its methods with @tool (from snakepit import tool)",
        )
    return tools


def preload(module_name, class_name):
    """Imports the adapter's module, and looks at its tools. What goes wrong is
    printed and no more: each worker meets it again, and reports it."""
    try:
        look_at(_class(_import(module_name), class_name))
    except StartFailure as failure:
        sys.stderr.write(f"{failure.trace}snakepit forkserver: {failure.message}\n")


def _import(name):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise _missing(name, error) from None
    except SystemExit as error:
        raise StartFailure(
            "adapter_exit",
            f"the adapter module {name!r} ended the process during its import:"
            f" sys.exit({error.code!r}){_place(error)}",
            "guard its script part with: if __name__ == '__main__':",
            _trace(error),
        ) from None
    except BaseException as error:
        raise StartFailure(
            "adapter_import",
            f"the import of the adapter module {name!r} raised {_one_line(error)}{_place(error)}",
            trace=_trace(error),
        ) from None


def _missing(name, error):
    missing = error.name or ""
    if missing == name or name.startswith(missing + "."):
        searched = ", ".join(entry or "." for entry in sys.path)
        return StartFailure(
            "adapter_not_found",
            f"there is no adapter module {name!r} ({error.msg}); searched: {searched}",
            "give the directory that holds it with --python-path",
        )
    return StartFailure(
        "adapter_missing_package",
        f"the adapter module {name!r} needs {missing!r}, which is not installed for"
        f" {sys.executable}{_place(error)}",
        f"{sys.executable} -m pip install {missing.partition('.')[0]}",
        _trace(error),
    )


def _class(module, name):
    kind = getattr(module, name, None)
    if kind is None:
        there = [key for key, value in vars(module).items() if _is_adapter(value)]
        listed = "its adapters are: " + ", ".join(there) if there else "it has no adapters"
        raise StartFailure(
            "adapter_class_not_found",
            f"the module {module.__name__!r} has no class {name!r}; {listed}",
            f"--adapter {module.__name__}:{there[0]}" if there else "",
        )
    if not _is_adapter(kind):
        raise StartFailure(
            "adapter_invalid",
            f"{module.__name__}:{name} is no subclass of snakepit.Adapter",
            "write: from snakepit import Adapter",
        )
    return kind


def _is_adapter(value):
    return isinstance(value, type) and issubclass(value, Adapter) and value is not Adapter


def _construct(kind):
    try:
        return kind()
    except SystemExit as error:
        failure, reason = "adapter_exit", f"ended the process: sys.exit({error.code!r})"
        place, trace = _place(error), _trace(error)
    except BaseException as error:
        failure, reason = "adapter_invalid", f"raised {_one_line(error)}"
        place, trace = _place(error), _trace(error)
    raise StartFailure(
        failure, f"the constructor of the adapter {kind.__name__} {reason}{place}", "", trace
    )


def _one_line(error):
    return " ".join(traceback.format_exception_only(error)[-1].split())


def _place(error):
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}:{error.lineno})"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_theirs(f.filename)]
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""


def _trace(error):
    """The traceback from the first frame that is not the import system's."""
    trace = error.__traceback__
    while trace is not None and not _is_theirs(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _is_theirs(filename):
    return filename not in (__file__, importlib.__file__) and "importlib._boot" not in filename
