"""For tests of lcnkit and of plugins: one contract suite per plugin kind, and tiny archives to run them on.

A plugin package inherits the contract of its kind and gives it one fixture::

    from lcnkit.testing.strategy import StrategyContract

    class TestLatestClear(StrategyContract):
        @pytest.fixture
        def strategy(self):
            return LatestClear()

Each contract lives in a module of the kind's name: `lcnkit.testing.catalog`, ``strategy``, ``reader``,
``transform``, ``backend``, ``exporter``. pytest is needed, lcnkit's other test dependencies are not.
"""

from __future__ import annotations

import sys

if "pytest" in sys.modules:
    # Inside a running pytest, a contract's bare `assert` shows the values it compared. Nothing is imported for it.
    sys.modules["pytest"].register_assert_rewrite(
        *(f"{__name__}.{module}" for module in ("plugin", "catalog", "strategy", "reader", "transform", "backend", "exporter"))
    )
