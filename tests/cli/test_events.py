from cli.events import ServerEvent, read_events


def test_events_are_divided_by_empty_lines_and_comments_are_passed_over() -> None:
    text = "retry: 2000\n\n: nothing new\n\nevent: job\nid: 7\ndata: {}\n\ndata:a\ndata: b\n\n"

    events = list(read_events(text.splitlines()))

    assert events == [ServerEvent("job", "{}"), ServerEvent("message", "a\nb")]


def test_event_that_was_cut_short_is_dropped() -> None:
    assert list(read_events(["event: job", "data: {"])) == []


def test_empty_event_is_none() -> None:
    assert list(read_events(["event: job", "", "data", ""])) == [ServerEvent("message", "")]
