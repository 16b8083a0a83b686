"""Servers that several suites here share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.contracts.object_storage import S3Server, s3_server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server
