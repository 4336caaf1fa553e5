"""What the commands find in an outbox and beside it, where a mere run of them does not get."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alertlog.desk import Desk, desks
from alertlog.errors import OutboxError
from alertlog.handler import AlertHandler
from alertlog.journal import Journal, journal_paths
from alertlog.listing import entries
from alertlog.ownership import Owner
from alertlog.unread import beyond, unread
from tests.support import KEY, OWNER, tally


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "alerts.sqlite3"


def desk_of(*handlers: AlertHandler) -> Desk:
    (desk,) = desks(handlers)
    return desk


def named(name: str | None, place: Path, *, service: str | None = None, env_prefix: str = "SMTP_") -> AlertHandler:
    handler = AlertHandler(outbox=place, service=service, env_prefix=env_prefix)
    handler.name = name
    return handler


def test_handlers_of_one_file_are_looked_at_together(place: Path) -> None:
    other = place.with_name("other.sqlite3")
    found = desks([named("a", place), named("b", other), named("c", place)])
    assert [desk.place for desk in found] == [place, other]


def test_each_owner_is_served_by_the_handler_of_its_name_else_by_the_first_one_of_its_service(place: Path) -> None:
    desk = desk_of(
        named("alerts", place, service="etl"),
        named("pager", place, service="etl", env_prefix="PAGER_"),
        named("alerts", place, service="prices", env_prefix="PRICES_"),
    )
    served = {
        Owner("etl", "alerts"): "SMTP_",
        Owner("etl", "pager"): "PAGER_",
        Owner("etl", "alerts PAGER_"): "PAGER_",
        Owner("etl", "of another time"): "SMTP_",
        Owner("prices", "pager"): "PRICES_",
        Owner("nobody", "alerts"): "SMTP_",
    }
    assert {owner: desk.works(owner).arguments.env_prefix for owner in served} == served
    assert desk.post(Owner("etl", "of another time")).wording().service == "etl"


def test_an_owner_whose_pace_is_its_handlers_own(place: Path) -> None:
    desk = desk_of(AlertHandler(outbox=place, service="etl", quiet_after=60.0))
    assert desk.post(Owner("etl", "alerts")).pace.quiet_after == 60.0


def test_a_journal_that_does_not_name_its_owner_is_found_by_the_configuration(place: Path) -> None:
    journal = Journal.create(place, OWNER)
    journal.append(tally().to_json())
    path = journal.path
    del journal
    path.write_bytes(b"damaged " + path.read_bytes()[8:])
    desk = desk_of(named(OWNER.handler, place, service=OWNER.service))
    assert desk.own() == [OWNER]
    assert [entry.to_dict()["count"] for entry in entries(desk)] == [1]
    assert desk_of(named("another", place, service="shop")).own() == []


def test_only_what_is_beyond_what_was_read_counts_as_unread(place: Path) -> None:
    journal = Journal.create(place, OWNER)
    journal.append(tally(count=3).to_json())
    first = unread(place, OWNER, {})
    assert first.alerts == 3
    journal.append(b"no alert")
    journal.append(tally(count=2).to_json())
    beyond = unread(place, OWNER, first.read_to)
    assert beyond.alerts == 2
    assert unread(place, OWNER, beyond.read_to).alerts == 0


def test_a_journal_that_a_courier_has_just_removed_holds_nothing(place: Path) -> None:
    assert beyond(place.with_name("gone.journal"), 7) == (0, 7)


def test_a_journal_that_nobody_can_read_is_not_an_empty_one(place: Path) -> None:
    path = place.with_name(f"{place.name}.{KEY}.1-folder.journal")
    path.mkdir()
    assert journal_paths(place, KEY) == [path]
    with pytest.raises(OutboxError, match="folder"):
        unread(place, OWNER, {})


def test_what_is_no_outbox_at_all_is_empty(place: Path) -> None:
    file = place.with_name("file")
    file.touch()
    desk = desk_of(named("alerts", file / "alerts.sqlite3", service="etl"))
    assert list(entries(desk)) == []
    assert not os.path.exists(place)
