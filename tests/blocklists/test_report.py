"""The report: sums per category and what a person should look at."""

from __future__ import annotations

from blocklists.report import Problem, Report, SourceReport


def _source(id_: str, by_category: dict[str, int], problem: Problem | None = None) -> SourceReport:
    return SourceReport(id_, id_, "category", None, None, "province", "hosts", "fresh", by_category=by_category, problem=problem)


def test_report_sums_categories_over_sources_and_lists_problems() -> None:
    """Counts add up over all sources; every problem is named with its source, orders last."""
    odd, broken = Problem("lạ", "odd"), Problem("hỏng", "broken")
    report = Report([_source("a", {"gamb": 2, "porn": 1}), _source("b", {"gamb": 3}, odd)], orders_problem=broken)
    assert report.categories == {"gamb": 5, "porn": 1}
    assert report.problems == [("b", odd), ("takedown", broken)]
    assert Report().problems == [] and Report().categories == {}
