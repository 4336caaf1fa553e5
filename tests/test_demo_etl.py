"""The sample pipeline by itself: its modes, its last known prices, and what it logs."""

from __future__ import annotations

import ast
import logging
import logging.config
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from alertlog.demo import portfolio_etl
from alertlog.demo.price_api import Answer, PriceApi
from alertlog.demo.prices import PriceApiError, PriceClient, UnknownTicker
from alertlog.demo.quota import Plan, Quota, make_plan

DEMO = Path(portfolio_etl.__file__).parent
DAY = date(2026, 3, 28)
NEXT = DAY + timedelta(days=1)
TICKERS = ("AAPL", "ENB.TO", "MSFT", "RY.TO", "TD.TO", "XIU.TO", "V", "KO")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def holdings(tmp_path: Path) -> Path:
    """Eight tickers in two accounts, one of them in both."""
    rows = [f"RRSP,{ticker},{'CAD' if '.TO' in ticker else 'USD'},10,20.50" for ticker in TICKERS]
    path = tmp_path / "holdings.csv"
    path.write_text("\n".join(["account,ticker,currency,quantity,cost", *rows, "TFSA,AAPL,USD,1.5,30"]))
    return path


class Pipeline:
    """The pipeline with a database of its own."""

    def __init__(self, holdings: Path, api: PriceApi) -> None:
        self.holdings = holdings
        self.database = holdings.with_name("portfolio.sqlite3")
        self.api = api

    def run(self, day: date = DAY) -> str:
        """Run for a day and return the mode."""
        portfolio_etl.run(self.holdings, self.database, PriceClient(self.api.url, timeout=10), day)
        return str(self.rows("SELECT mode FROM runs ORDER BY id DESC LIMIT 1")[0][0])

    def rows(self, query: str, *values: str) -> list[Any]:
        with closing(sqlite3.connect(self.database)) as db:
            return db.execute(query, values).fetchall()

    def sources(self, day: date) -> Counter[str]:
        return Counter(source for (source,) in self.rows("SELECT source FROM prices WHERE day = ?", str(day)))

    def calls(self) -> list[int]:
        return [calls for (calls,) in self.rows("SELECT calls FROM runs ORDER BY id")]


@pytest.fixture
def pipeline(holdings: Path) -> Iterator[Pipeline]:
    """It may make 20 calls a month: two full runs, then half of one."""
    with PriceApi(limit=20) as api:
        yield Pipeline(holdings, api)


def alerts(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if hasattr(record, "alert")]


class TestPlan:
    WANTED = ("A", "B", "C", "D", "E", "F")

    def plan(self, limit: int, used: int) -> Plan:
        return make_plan(Quota("demo", limit, used, NEXT), self.WANTED)

    def test_with_enough_left_all_are_refreshed(self) -> None:
        assert self.plan(limit=100, used=0) == Plan("normal", self.WANTED)
        assert self.plan(limit=100, used=80) == Plan("normal", self.WANTED)

    def test_with_less_than_a_fifth_left_a_quarter_is_refreshed_the_stalest_first(self) -> None:
        assert self.plan(limit=100, used=81) == Plan("conserve", ("A", "B"))

    def test_with_less_left_than_wanted_it_conserves_too(self) -> None:
        assert self.plan(limit=10, used=5) == Plan("conserve", ("A", "B"))

    def test_the_last_call_is_used_and_no_more(self) -> None:
        assert self.plan(limit=10, used=9) == Plan("conserve", ("A",))

    @pytest.mark.parametrize("used", [10, 11])
    def test_with_nothing_left_it_halts(self, used: int) -> None:
        assert self.plan(limit=10, used=used) == Plan("halt", ())

    def test_with_nothing_wanted_the_quota_does_not_matter(self) -> None:
        assert make_plan(Quota("demo", 10, 10, NEXT), ()) == Plan("normal", ())


class TestModes:
    def test_normal_prices_everything_and_says_nothing_alarming(
        self, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert pipeline.run() == "normal"
        assert pipeline.sources(DAY) == {"api": 8}
        assert pipeline.calls() == [8]
        assert [record for record in caplog.records if record.levelno > logging.INFO] == []

    def test_conserve_refreshes_the_stalest_and_keeps_the_last_known_prices_of_the_others(
        self, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
    ) -> None:
        pipeline.run()
        pipeline.api.used["2026-03"] = 17
        assert pipeline.run(NEXT) == "conserve"
        assert pipeline.sources(NEXT) == {"api": 2, "last_known": 6}
        assert "quota low: 3 calls left, making 2" in caplog.text
        assert alerts(caplog) == []
        pipeline.run(NEXT + timedelta(days=1))
        fresh = pipeline.rows("SELECT day, ticker FROM prices WHERE source = 'api' AND day > ?", str(DAY))
        assert sorted(fresh) == [("2026-03-29", "AAPL"), ("2026-03-29", "ENB.TO"), ("2026-03-30", "KO")]

    def test_halt_uses_last_known_prices_and_raises_one_quota_alert(
        self, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
    ) -> None:
        pipeline.run()
        pipeline.api.used["2026-03"] = 20
        assert pipeline.run(NEXT) == "halt"
        assert pipeline.sources(NEXT) == {"last_known": 8}
        before, after = (
            pipeline.rows("SELECT ticker, price FROM prices WHERE day = ? ORDER BY 1", str(day)) for day in (DAY, NEXT)
        )
        assert before == after
        (alert,) = alerts(caplog)
        assert alert.levelno == logging.CRITICAL
        assert alert.getMessage() == "Price API quota used up: 20 of 20 calls"
        extras = {
            "alert": "quota",
            "provider": "demo-prices",
            "used": 20,
            "limit": 20,
            "resets_on": "2026-04-01",
        }
        assert extras.items() <= vars(alert).items()

    def test_a_new_month_is_normal_again(self, pipeline: Pipeline) -> None:
        pipeline.api.used["2026-03"] = 20
        assert [pipeline.run(DAY), pipeline.run(date(2026, 4, 1))] == ["halt", "normal"]

    def test_a_429_in_the_middle_keeps_what_was_fetched_and_halts(
        self, holdings: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The quota endpoint promised enough; then another program used the rest."""

        class SharedApi(PriceApi):
            def price(self, ticker: str, day: date) -> Answer:
                self.used["2026-03"] += 3
                return super().price(ticker, day)

        with SharedApi(limit=20) as api:
            pipeline = Pipeline(holdings, api)
            assert pipeline.run() == "halt"
            assert pipeline.sources(DAY) == {"api": 5}
            assert pipeline.calls() == [5]
        quota, missing = alerts(caplog)
        assert quota.getMessage() == "Price API quota used up: 20 of 20 calls"
        assert missing.alert == "missing_price"  # type: ignore[attr-defined]


class TestMissingPrices:
    def test_one_record_lists_all_tickers_without_a_price(
        self, holdings: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with PriceApi(limit=100, lacks=["V", "ENB.TO"]) as api:
            pipeline = Pipeline(holdings, api)
            assert pipeline.run() == "normal"
        (alert,) = alerts(caplog)
        assert alert.levelno == logging.ERROR
        assert alert.getMessage() == "No price for 2 tickers: ENB.TO, V"
        extras = {"alert": "missing_price", "tickers": "ENB.TO, V", "count": 2}
        assert extras.items() <= vars(alert).items()
        assert pipeline.calls() == [8], "the question costs a call, whatever the answer"
        unpriced = "SELECT currency, unpriced FROM valuations WHERE account = 'RRSP' ORDER BY currency"
        assert pipeline.rows(unpriced) == [("CAD", 1), ("USD", 1)]

    def test_a_ticker_that_the_api_has_dropped_keeps_its_last_known_price(
        self, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
    ) -> None:
        pipeline.run()
        pipeline.api.lacks = frozenset(["AAPL"])
        pipeline.run(NEXT)
        assert pipeline.sources(NEXT) == {"api": 7, "last_known": 1}
        assert alerts(caplog) == []


class TestApiFailures:
    def failing(self, pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
        """Run a second day, which must get by with last known prices, and return its one alert."""
        assert pipeline.run(NEXT) == "halt"
        assert pipeline.sources(NEXT)["last_known"] > 0
        (alert,) = alerts(caplog)
        assert alert.alert == "price_api"  # type: ignore[attr-defined]
        return alert

    def test_an_api_that_is_down_is_an_alert_with_its_traceback(
        self, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
    ) -> None:
        pipeline.run()
        with socket.create_server(("127.0.0.1", 0)) as free:
            pipeline.api.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        alert = self.failing(pipeline, caplog)
        assert alert.exc_info
        assert alert.exc_info[0] is PriceApiError
        assert pipeline.calls() == [8, 0]

    @pytest.mark.parametrize(
        ("field", "nonsense"),
        [("price", None), ("price", "NaN"), ("price", "a lot"), ("used", "many"), ("resets_on", "soon")],
    )
    def test_an_api_that_talks_nonsense_is_an_alert(
        self, holdings: Path, caplog: pytest.LogCaptureFixture, field: str, nonsense: object
    ) -> None:
        class NonsenseApi(PriceApi):
            def answer(self, target: str) -> Answer:
                status, data = super().answer(target)
                if str(NEXT) in target and field in data:
                    data[field] = nonsense
                return status, data

        with NonsenseApi(limit=100) as api:
            pipeline = Pipeline(holdings, api)
            pipeline.run()
            self.failing(pipeline, caplog)

    def test_an_api_that_breaks_in_the_middle_costs_only_the_rest(
        self, holdings: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        class BreakingApi(PriceApi):
            def answer(self, target: str) -> Answer:
                if "/MSFT" in target and str(NEXT) in target:
                    return HTTPStatus.BAD_GATEWAY, {}
                return super().answer(target)

        with BreakingApi(limit=100) as api:
            pipeline = Pipeline(holdings, api)
            pipeline.run()
            alert = self.failing(pipeline, caplog)
        assert "HTTP 502 Bad Gateway" in str(alert.exc_info)
        assert pipeline.sources(NEXT) == {"api": 3, "last_known": 5}


class TestSecondRun:
    def test_on_the_same_day_it_costs_nothing_and_changes_nothing(self, pipeline: Pipeline) -> None:
        dumps = []
        for _ in range(2):
            assert pipeline.run() == "normal"
            tables = ("holdings", "prices", "valuations")
            dumps.append([pipeline.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in tables])
        assert dumps[0] == dumps[1]
        assert pipeline.calls() == [8, 0]

    def test_on_the_same_day_it_asks_for_what_the_first_had_to_leave_out(self, pipeline: Pipeline) -> None:
        pipeline.api.used["2026-03"] = 20
        pipeline.run()
        pipeline.api.limit = 40
        assert pipeline.run() == "normal"
        assert pipeline.sources(DAY) == {"api": 8}

    def test_sold_holdings_are_gone(self, pipeline: Pipeline) -> None:
        pipeline.run()
        pipeline.holdings.write_text("account,ticker,currency,quantity,cost\nTFSA,AAPL,USD,1,30\n")
        pipeline.run()
        assert pipeline.rows("SELECT account, ticker FROM holdings") == [("TFSA", "AAPL")]
        assert len(pipeline.rows("SELECT * FROM valuations")) == 1


def test_a_valuation_is_exact(pipeline: Pipeline) -> None:
    pipeline.run()
    ((price,),) = pipeline.rows("SELECT price FROM prices WHERE ticker = 'AAPL'")
    ((value, cost),) = pipeline.rows("SELECT value, cost FROM valuations WHERE account = 'TFSA'")
    assert Decimal(value) == Decimal("1.5") * Decimal(price)
    assert Decimal(cost) == Decimal(45)


class TestHoldingsFile:
    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            ("account,ticker\nRRSP,AAPL", "line 2.*currency"),
            ("account,ticker,currency,quantity,cost\nRRSP,AAPL,USD", "line 2"),
            ("account,ticker,currency,quantity,cost\nRRSP,AAPL,USD,ten,1", "line 2.*'ten'"),
            ("account,ticker,currency,quantity,cost\nRRSP,AAPL,USD,1,1\nRRSP,V,USD,NaN,1", "line 3.*'NaN'"),
            ('account,ticker,currency,quantity,cost\n"RRSP"x,AAPL,USD,1,1', "expected after"),
            ("account,ticker,currency,quantity,cost\n", "holds nothing"),
            ("", "holds nothing"),
        ],
    )
    def test_a_damaged_one_is_refused_by_its_line(self, tmp_path: Path, content: str, complaint: str) -> None:
        path = tmp_path / "holdings.csv"
        path.write_text(content)
        with pytest.raises(ValueError, match=complaint):
            portfolio_etl.read_holdings(path)

    def test_the_shipped_one_has_canadian_and_us_tickers_in_several_accounts(self) -> None:
        shipped = portfolio_etl.read_holdings(DEMO / "holdings.csv")
        assert len(shipped) > 25
        assert {holding.currency for holding in shipped} == {"CAD", "USD"}
        assert all(holding.ticker.endswith(".TO") == (holding.currency == "CAD") for holding in shipped)
        assert len({holding.account for holding in shipped}) > 2


class TestPriceApi:
    def test_a_ticker_with_signs_in_it_is_one_ticker(self) -> None:
        with PriceApi(lacks=["A/B ü"]) as api:
            client = PriceClient(api.url)
            assert client.price("BRK.B", DAY).currency == "USD"
            with pytest.raises(UnknownTicker):
                client.price("A/B ü", DAY)

    def test_asking_for_the_quota_costs_nothing(self) -> None:
        with PriceApi(limit=3) as api:
            client = PriceClient(api.url)
            assert [client.quota(DAY) for _ in range(5)] == [Quota("demo-prices", 3, 0, date(2026, 4, 1))] * 5
            assert client.quota(date(2026, 12, 31)).resets_on == date(2027, 1, 1)

    @pytest.mark.parametrize(
        ("target", "status"),
        [("/v1/quota", 400), ("/v1/quota?day=today", 400), ("/v2?day=2026-03-28", 404)],
    )
    def test_what_it_does_not_understand_it_refuses(self, target: str, status: int) -> None:
        assert PriceApi().answer(target)[0] == status

    def test_prices_depend_on_ticker_and_day_alone(self) -> None:
        first, second = PriceApi(), PriceApi()
        assert first.price("KO", DAY) == second.price("KO", DAY) != second.price("KO", NEXT)


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Take back what a program's own configuration does to the root logger."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    for handler in handlers:
        if handler not in root.handlers:
            root.addHandler(handler)
    root.setLevel(level)


@pytest.mark.usefixtures("restored_logging")
class TestCommandLine:
    def arguments(self, pipeline: Pipeline) -> list[str]:
        return [
            *("--holdings", str(pipeline.holdings)),
            *("--database", str(pipeline.database)),
            *("--api", pipeline.api.url),
        ]

    def test_missing_prices_are_no_failure_of_the_program(self, pipeline: Pipeline) -> None:
        pipeline.api.lacks = frozenset(TICKERS)
        assert portfolio_etl.main([*self.arguments(pipeline), "--day", "2026-03-28"]) == 0
        assert pipeline.rows("SELECT day, mode FROM runs") == [("2026-03-28", "normal")]

    def test_without_a_day_it_is_today(self, pipeline: Pipeline) -> None:
        before = date.today()
        assert portfolio_etl.main(self.arguments(pipeline)) == 0
        ((day,),) = pipeline.rows("SELECT day FROM runs")
        assert str(before) <= day <= str(date.today())

    def test_what_stops_it_is_a_critical_record_and_exit_code_1(
        self, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
    ) -> None:
        pipeline.holdings.unlink()
        assert portfolio_etl.main(self.arguments(pipeline)) == 1
        record = caplog.records[-1]
        assert record.levelno == logging.CRITICAL
        assert record.exc_info
        assert record.exc_info[0] is FileNotFoundError

    def test_a_database_that_is_none_is_exit_code_1(self, pipeline: Pipeline) -> None:
        pipeline.database.write_text("no database " * 100)
        assert portfolio_etl.main(self.arguments(pipeline)) == 1

    def test_a_yaml_file_configures_logging(self, pipeline: Pipeline, tmp_path: Path) -> None:
        """As cron runs it: a program of its own, with its log where the file says."""
        log, configuration = tmp_path / "etl.log", tmp_path / "logging.yaml"
        configuration.write_text(
            f"""{{version: 1, disable_existing_loggers: false, root: {{level: INFO, handlers: [file]}},
            handlers: {{file: {{class: logging.FileHandler, filename: {log}}}}}}}"""
        )
        program = [sys.executable, "-W", "error", "-m", "alertlog.demo.portfolio_etl"]
        done = subprocess.run(
            [*program, *self.arguments(pipeline), "--logging", str(configuration)],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=DEMO.parents[1],
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert "9 holdings valued, mode normal, 8 calls" in log.read_text()


def test_the_pipeline_knows_nothing_of_mail() -> None:
    """Its modules import the standard library and each other; PyYAML reads the logging configuration."""
    for name in ("portfolio_etl", "prices", "quota", "store"):
        tree = ast.parse((DEMO / f"{name}.py").read_text(encoding="utf-8"))
        imported = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).split(".")[0])
        assert imported <= sys.stdlib_module_names | {"yaml"}
        assert not imported & {"smtplib", "email"}
