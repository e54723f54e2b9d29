"""The same state everywhere: the files of all nodes against a second application of the log."""

from collections import Counter
from collections.abc import Iterator

from hookline.protocol.jobs import State
from tests.simulation.promises.facts import Facts
from tests.simulation.replay import dump


def every_state_is_that_of_the_log(facts: Facts) -> Iterator[str]:
    for node, state_file in facts.state_files.items():
        for name, rows in dump(state_file).items():
            if rows != facts.found.tables[name]:
                pairs = zip(rows, facts.found.tables[name], strict=False)
                different = [pair for pair in pairs if pair[0] != pair[1]][:2]
                yield f"table {name} of {node} differs from a replay of the log: {different}"


def counters_count_the_rows(facts: Facts) -> Iterator[str]:
    counters: Counter[str] = Counter()  # of all tenants together
    for _tenant, name, value in facts.found.tables["counters"]:
        counters[name] += value
    for state in State:
        count = sum(row["state"] == state for row in facts.found.jobs.values())
        if counters[state.label] != count:
            yield f"the counter {state.label} is {counters[state.label]}, there are {count}"
    is_empty = not any(row["state"] in (State.PENDING, State.RUNNING) for row in facts.found.jobs.values())
    if is_empty and counters["pending_bytes"]:
        yield f"{counters['pending_bytes']} bytes are counted as pending, but nothing is pending"
