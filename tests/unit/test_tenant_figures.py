"""The tenants that metrics name: so many at most, and nothing is lost in the sums."""

from hookline.node.tenant_figures import NAMED_MAX, OTHER, named_figures


def test_metrics_name_the_busiest_and_sum_up_the_others() -> None:
    tenants = {f"t{number}": {"pending": number, "running": 0, "dead": 1} for number in range(NAMED_MAX + 10)}
    named = named_figures({"": {"pending": 10_000, "running": 0, "dead": 0}} | tenants)
    assert len(named) == NAMED_MAX + 1
    assert named["default"]["pending"] == 10_000
    assert "t10" not in named
    assert named[OTHER] == {"pending": sum(range(11)), "running": 0, "dead": 11}


def test_a_tenant_that_is_called_like_the_rest_is_counted_with_it() -> None:
    named = named_figures({OTHER: {"pending": 5, "running": 1}, "acme": {"pending": 0, "running": 0}})
    assert named == {OTHER: {"pending": 5, "running": 1}, "acme": {"pending": 0, "running": 0}}
