"""Which server is next: in order, each at its time, and one that failed last of all while another one works."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertlog.gate import Gate
from alertlog.policy import Bucket
from alertlog.route import REST, blocked, due, is_asked_first, is_open, next_way, overall

NOW = 1_000_000.0
FINE = Gate()
BACKUP = Gate(way=1)


def failed(ago: float, wait: float, way: int = 0, category: str = "temporary", failures: int = 1) -> Gate:
    """A gate that was shut so many seconds ago, for so many."""
    return Gate(failures, NOW - ago + wait, category, tried=NOW - ago, error=f"error {way}", way=way)


@pytest.mark.parametrize(
    ("gates", "tried", "expected"),
    [
        ([FINE], (), 0),
        ([FINE], (0,), None),
        ([FINE, BACKUP], (), 0),
        ([FINE, BACKUP], (0,), 1),
        ([FINE, BACKUP], (0, 1), None),
        ([failed(1, 5)], (), None),
        ([failed(6, 5)], (), 0),
        ([failed(1, 5), BACKUP], (), 1),
        ([failed(6, 5), BACKUP], (), 1),  # it rests, as the other one works
        ([failed(REST - 1, 5), BACKUP], (), 1),
        ([failed(REST, 5), BACKUP], (), 0),
        ([failed(REST, 600), BACKUP], (), 1),  # its own wait is the longer one
        ([failed(6, 5), BACKUP], (1,), 0),  # the other one has just failed
        ([failed(6, 5), failed(1, 5, 1)], (), 0),  # none works: each at its own time
        ([failed(1, 5), failed(6, 5, 1)], (), 1),
        ([failed(1, 5), failed(1, 5, 1)], (), None),
        ([failed(6, 5), failed(6, 5, 1), Gate(way=2)], (), 2),
        ([failed(6, 5, category="refused"), BACKUP], (1,), 0),
        ([Gate(1, 0.0, "refused", tried=NOW - 1), BACKUP], (), 0),  # somebody has opened it
        ([failed(-50, 5), BACKUP], (), 1),  # the clock went back a little
        ([failed(-100, 5), BACKUP], (), 1),
        ([failed(-86_400, 5), BACKUP], (), 0),  # and far
    ],
)
def test_the_next_server_is_the_first_that_may_be_tried(
    gates: list[Gate], tried: tuple[int, ...], expected: int
) -> None:
    assert next_way(gates, tried, NOW) == expected


a_gate = st.builds(
    Gate,
    failures=st.integers(0, 4),
    due=st.floats(NOW - 2_000, NOW + 2_000) | st.just(0.0),
    category=st.sampled_from(["temporary", "refused"]),
    tried=st.floats(NOW - 2_000, NOW),
)
some_gates = st.lists(a_gate, min_size=1, max_size=4).map(
    lambda gates: [replace(gate, way=way) for way, gate in enumerate(gates)]
)


@given(gates=some_gates)
def test_no_server_is_tried_twice_or_before_its_time_and_none_that_works_is_left_out(gates: list[Gate]) -> None:
    tried: list[int] = []
    while (way := next_way(gates, tried, NOW)) is not None:
        tried.append(way)
    assert len({*tried}) == len(tried)
    assert all(is_open(gates[way], NOW) for way in tried)
    assert {gate.way for gate in gates if gate.failures == 0} <= {*tried}
    assert {gate.way for gate in gates if is_open(gate, NOW)} == {*tried}, "at last the resting ones, too"


@given(gates=some_gates)
def test_while_one_works_those_that_have_just_failed_come_last(gates: list[Gate]) -> None:
    first = next_way(gates, (), NOW)
    if any(gate.failures == 0 for gate in gates):
        assert first is not None
        chosen = gates[first]
        assert chosen.failures == 0 or chosen.due == 0 or chosen.tried + REST <= NOW


def test_no_server_works_if_each_has_failed() -> None:
    assert not blocked([failed(1, 5), BACKUP])
    assert blocked([failed(1, 5), failed(900, 5, 1)])


def test_mail_is_due_again_when_the_first_gate_opens() -> None:
    assert due([failed(1, 5), failed(1, 3, 1)], NOW) == NOW + 2
    assert due([failed(9, 5), failed(1, 3, 1)], NOW) == NOW
    assert due([failed(1, 5), BACKUP], NOW) is None


def test_what_is_in_the_way_is_all_that_failed_and_is_the_operators_only_if_each_is() -> None:
    refused = failed(1, 900, category="refused")
    assert overall([]) == Gate()
    assert overall([refused, BACKUP]) == Gate()
    assert overall([refused]) == refused
    both = overall([replace(refused, failures=3, bucket=Bucket(2.0, NOW)), failed(1, 5, 1)])
    assert (both.category, both.error, both.failures) == ("temporary", "error 0; error 1", 1)
    assert (both.due, both.bucket) == (NOW + 4, Bucket(2.0, NOW))
    assert overall([refused, failed(1, 900, 1, "refused")]).category == "refused"
    assert overall([failed(1, 5, 1)]).error == "error 1"


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        (FINE, True),
        (failed(6, 5), True),
        (failed(1, 5), True),
        (failed(1, 10, failures=2), True),
        (failed(1, 20, failures=3), False),
        (failed(1, 900, category="refused"), False),
    ],
)
def test_a_server_that_may_have_a_mail_is_asked_first_unless_it_fails_for_known_reasons(
    gate: Gate, expected: bool
) -> None:
    assert is_asked_first(gate, NOW) is expected
