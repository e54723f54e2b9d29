"""No page is left out, and what no test can do is listed here."""

from pathlib import Path

import pytest

from tests.docs.pages import blocks_of, page_names

TESTS = "".join(file.read_text() for file in Path(__file__).parent.glob("*.py"))
# What is not run, with the reason that the page's source gives; more than these need a reason that is as good.
NOT_RUN = [
    ("README.md", "Hookline", "a drawing"),
    ("docs/how-to/measure.md", "A Hookline on other machines", "it needs a second machine"),
    ("docs/how-to/monitor.md", "Let Prometheus read", "the key is for Prometheus"),
    ("docs/how-to/monitor.md", "Hear more from one part", "the machine is yours"),
    ("docs/how-to/run-three-nodes.md", "Probes", "there is no Kubernetes"),
    ("docs/how-to/run-three-nodes.md", "TLS and passwords for etcd", "the certificates are yours"),
    ("docs/how-to/run-three-nodes.md", "TLS and passwords for etcd", "the certificates are yours"),
    ("docs/how-to/tls.md", "Renew certificates", "it is for Prometheus"),
    ("docs/how-to/verify-webhooks.md", "In other languages", "it needs packages of npm"),
]


@pytest.mark.parametrize("name", page_names())
def test_each_page_is_followed(name: str) -> None:
    stem = Path(name).stem
    assert not blocks_of(name) or f'"{name}"' in TESTS or f'opens("{stem}"' in TESTS


def test_what_is_not_run_is_known() -> None:
    found = [
        (name, block.section, block.note[1])
        for name in page_names()
        for block in blocks_of(name)
        if block.note[0] == "not run"
    ]
    assert found == NOT_RUN
