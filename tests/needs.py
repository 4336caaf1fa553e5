"""What a test needs beside Python: skipped loudly where it is missing, a failure where it was promised.

The variable `ALERTLOG_TEST_REQUIRE` holds names separated by commas, such as `postfix`. Whoever has installed
these things sets it, so that a broken installation can't pass for a skipped test.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

VARIABLE = "ALERTLOG_TEST_REQUIRE"


def lacking(name: str, why: str) -> NoReturn:
    """End the test: `name` is not to be had here, because of `why`."""
    promised = {part.strip() for part in os.environ.get(VARIABLE, "").split(",")}
    if name in promised:
        pytest.fail(f"{name} was promised by {VARIABLE}, but {why}", pytrace=False)
    pytest.skip(f"SKIPPED: {name}: {why}")
