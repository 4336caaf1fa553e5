"""What one argument has to be: the value as it is used, or a ValueError that names the argument and shows no value."""

from __future__ import annotations

import sys
import types
from math import inf, nan
from typing import Any

import pytest

from alertlog.checks import ABOVE_ZERO, function, number, table, text, texts, truth, whole

SECRET = "hunter2hunter2"


class Told:
    """A value that would tell a secret if it were shown."""

    def __repr__(self) -> str:
        return SECRET

    __str__ = __repr__


@pytest.mark.parametrize("check", [text, texts, table, function])
@pytest.mark.parametrize("value", [5, True, 1.5, b"bytes", Told()])
def test_what_is_of_another_kind_is_named_by_its_argument_and_not_shown(check: Any, value: object) -> None:
    with pytest.raises(ValueError, match=r"^some: has to be a ") as caught:
        check("some", value)
    assert SECRET not in str(caught.value)
    assert type(value).__name__ in str(caught.value)


def test_a_text_is_a_text_or_none() -> None:
    assert [text("some", value) for value in ("a", "", None)] == ["a", "", None]


@pytest.mark.parametrize("value", ["true", "", 1, 0, None, Told()])
def test_a_truth_value_is_nothing_that_only_stands_for_one(value: object) -> None:
    assert [truth("some", True), truth("some", False)] == [True, False]
    with pytest.raises(ValueError, match=r"^some: has to be true or false, not ") as caught:
        truth("some", value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("value", ["a", ["a"], ("a",), {"a"}, frozenset("a")])
def test_texts_are_one_or_several(value: object) -> None:
    assert texts("some", value) == ("a",)


@pytest.mark.parametrize("item", [None, 5, Told()])
def test_each_of_several_texts_is_one(item: object) -> None:
    with pytest.raises(ValueError, match=r"^some: each item has to be a text, not (None|int|Told)$"):
        texts("some", ["a", item])


def test_a_table_is_a_copy_of_a_mapping() -> None:
    given = {"quota": "[ETL] API quota alert"}
    made = table("some", given)
    given.clear()
    assert made == {"quota": "[ETL] API quota alert"}
    assert table("some", None) == {}
    assert table("some", types.MappingProxyType({"a": "b"})) == {"a": "b"}


@pytest.mark.parametrize("value", [{404: "x"}, {"x": 404}, {True: "on"}, {"x": None}, {"x": Told()}])
def test_keys_and_values_of_a_table_are_texts(value: dict[Any, Any]) -> None:
    with pytest.raises(
        ValueError, match=r"^some: each key and each value has to be a text, in quotes in YAML"
    ) as caught:
        table("some", value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("value", [9, 1_001, -10, 10.0, "50", None, True, nan, 10**30])
def test_a_whole_number_is_one_between_its_bounds(value: object) -> None:
    with pytest.raises(ValueError, match=r"^some: has to be a whole number from 10 to 1,000$"):
        whole("some", value, 10, 1_000)
    for good in (10, 1_000):
        whole("some", good, 10, 1_000)


@pytest.mark.parametrize("value", [0, -1, nan, inf, -inf, "10", True, None, [], 10 + 1j, 301, 10**400])
def test_a_number_is_a_finite_one_between_its_bounds(value: object) -> None:
    with pytest.raises(ValueError, match=r"^some: has to be a number above 0, up to 300$"):
        number("some", value, ABOVE_ZERO, 300)
    for good in (0.001, 1, 300.0, 300):
        number("some", good, ABOVE_ZERO, 300)


def test_a_number_that_may_be_zero_says_so() -> None:
    number("some", 0, 0, 300)
    with pytest.raises(ValueError, match=r"^some: has to be a number from 0 to 300$"):
        number("some", -0.5, 0, 300)


def test_a_function_is_given_itself_or_by_its_dotted_name() -> None:
    assert function("some", None) is None
    assert function("some", len) is len
    assert function("some", "logging.handlers.SMTPHandler.emit").__name__ == "emit"
    assert function("some", "ext://logging.getLevelName").__name__ == "getLevelName"


@pytest.mark.parametrize("name", ["", "nowhere", "nowhere.at_all", "logging.nothing", "logging.handlers.nothing", "."])
def test_a_name_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^some: there is no '.*' to import \("):
        function("some", name)


def test_a_name_of_what_can_not_be_called_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^some: has to be a callable, or the dotted name of one, not int$"):
        function("some", "logging.CRITICAL")


def test_a_module_that_fails_when_it_is_imported_is_refused_like_one_that_is_not_there(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_module_that_fails.py").write_text("raise RuntimeError")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(ValueError, match=r"^some: there is no 'a_module_that_fails\.key' to import \(RuntimeError\)$"):
        function("some", "a_module_that_fails.key")
