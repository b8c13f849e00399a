from __future__ import annotations

import re

from dockyard.buildkit.request import SolveRequest, new_id, request_values
from dockyard.driver import CacheEntry


def test_cache_imports_that_are_given_to_the_frontend_are_left_alone() -> None:
    request = SolveRequest(
        ref="r", attributes={"cache-imports": "[]"}, cache_imports=(CacheEntry(type="registry"),)
    )

    assert request_values(request)["FrontendAttrs"] == {"cache-imports": "[]"}


def test_ids_are_25_letters_and_digits_and_differ() -> None:
    ids = {new_id() for _ in range(100)}

    assert len(ids) == 100
    assert all(re.fullmatch("[0-9a-z]{25}", one) for one in ids)
