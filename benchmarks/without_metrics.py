"""The command ``hookline`` with counters and histograms that take nothing in: what metrics_cost.py compares with."""

from hookline.cli.app import main
from hookline.telemetry.tallies import Count, Spread


def _nothing(*_values: object) -> None:
    """Takes no time to speak of."""


if __name__ == "__main__":
    for kind, name in ((Count, "inc"), (Spread, "observe")):
        setattr(kind, name, _nothing)
    main()
