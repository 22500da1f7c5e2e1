import threading

from worker_process import eventually

from snakepit import bridge_pb2, telemetry


class Context:
    def add_callback(self, callback):
        self.left = callback
        return True


def control(**fields):
    return bridge_pb2.TelemetryControl(**fields)


def heard(*controls, calls=1):
    """The names of the events that a listener with these wishes gets."""
    listener = telemetry._Listener()
    for each in controls:
        listener.obey(each)
    hub = telemetry.Telemetry("w")
    hub._listeners = (listener,)
    for _ in range(calls):
        hub.span("ping").end(failed=False)
    listener.close()
    return [(event.event_parts[-1], event.correlation_id) for event in listener.events()]


def names(*controls):
    return [name for name, _ in heard(*controls)]


def test_wishes():
    toggle = bridge_pb2.TelemetryToggle
    some = bridge_pb2.TelemetryEventFilter
    assert names() == ["start", "stop"]
    assert names(control(toggle=toggle(enabled=False))) == []
    on = control(toggle=toggle(enabled=True))
    assert names(control(toggle=toggle(enabled=False)), on) == ["start", "stop"]
    assert names(control(filter=some(allow=["tool.*.stop"]))) == ["stop"]
    assert names(control(filter=some(deny=["*.stop"]))) == ["start"]
    assert names(control(filter=some(allow=["tool.*"], deny=["tool.*"]))) == []


def test_sampling():
    rate = bridge_pb2.TelemetrySamplingUpdate
    assert names(control(sampling=rate(sampling_rate=0))) == []
    assert names(control(sampling=rate(sampling_rate=0, event_patterns=["*.stop"]))) == ["start"]
    some = heard(control(sampling=rate(sampling_rate=0.5)), calls=200)
    assert 100 < len(some) < 300
    ids = [name for _, name in some]
    assert ids[::2] == ids[1::2]  # start and stop of a call go together


def test_a_slow_listener_loses_the_oldest():
    some = heard(calls=telemetry.BACKLOG)
    assert len(some) == telemetry.BACKLOG
    assert some[-1] == ("stop", f"w-{telemetry.BACKLOG}")


def test_streams_end():
    hub = telemetry.Telemetry()
    first, second = Context(), Context()
    streams = [hub.serve(iter([]), first), hub.serve(iter([]), second)]
    events = [[], []]
    threads = [threading.Thread(target=lambda i=i: events[i].extend(streams[i])) for i in range(2)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: len(hub._listeners) == 2)
    hub.span("ping", "id-1").end(failed=True)
    first.left()
    threads[0].join()
    assert len(hub._listeners) == 1
    hub.close()
    threads[1].join()
    assert not hub._listeners
    for each in events:
        assert [event.event_parts[-1] for event in each] == ["start", "exception"]
        assert {event.correlation_id for event in each} == {"id-1"}
