import pytest

from snakepit import options
from snakepit.failures import StartFailure


def test_defaults():
    chosen = options.parse([])
    assert chosen.adapter == ("snakepit.showcase", "Showcase")
    assert (chosen.host, chosen.port, chosen.grace) == ("127.0.0.1", 0, 5.0)
    assert (chosen.worker_id, chosen.python_path, chosen.host_address) == ("default-0", [], "")


def test_everything():
    chosen = options.parse(
        [
            "--adapter",
            "a.b:C",
            "--host",
            "::1",
            "--port",
            "65535",
            "--snakepit-run-id=r_1",
            "--worker-id",
            "w-3",
            "--grace",
            "0.5",
            "--python-path",
            "/x",
            "--python-path=/y",
            "--elixir-address",
            "h:1",
        ]
    )
    assert chosen.adapter == ("a.b", "C")
    assert (chosen.host, chosen.port, chosen.run_id) == ("::1", 65535, "r_1")
    assert (chosen.worker_id, chosen.grace) == ("w-3", 0.5)
    assert (chosen.python_path, chosen.host_address) == (["/x", "/y"], "h:1")


def test_adapter_with_a_dot():
    assert options.parse(["--adapter", "a.b.C"]).adapter == ("a.b", "C")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--unknown 1", "unknown argument '--unknown'"),
        ("stray", "unknown argument 'stray'"),
        ("--port", "--port needs a value"),
        ("--port --host", "--port needs a value"),
        ("--host=", "--host needs a value"),
        ("--port 65536", "is no port number"),
        ("--port -1", "is no port number"),
        ("--port ²", "is no port number"),
        ("--grace -1", "is no number of seconds"),
        ("--grace nan", "is no number of seconds"),
        ("--grace soon", "--grace soon: "),
        ("--adapter Class", "is not of the form module:Class"),
        ("--adapter :Class", "is not of the form module:Class"),
        ("--adapter a:b-c", "is not of the form module:Class"),
    ],
)
def test_refusals(line, message):
    with pytest.raises(StartFailure) as caught:
        options.parse(line.split(" "))
    assert message in caught.value.message
    assert caught.value.kind == "usage"
    assert caught.value.hint.startswith("usage: ")
