"""How a page is read and compared: what the other tests here rest on."""

import re
from pathlib import Path

import pytest

from tests.docs.here import Here
from tests.docs.reader import Reader
from tests.docs.showing import missing
from tests.docs.terminal import commands_in

ID = "01a20ddb-64d7-7378-959a-a0bfe9dbd78a-0"
OTHER = "0192f0c1-7a4b-7def-8123-456789abcdef-0"


@pytest.mark.parametrize(
    ("page", "real"),
    [
        (f"id    {ID}", f"id {OTHER}"),
        ("due  2026-11-24T14:00:11.735Z", "due 2027-01-01T00:00:00Z"),
        ("1  success  200  40 ms", "1   success   200   1.2 s"),
        ("log entry  1204113 of term 7", "log entry  17 of term 1"),
        ("n1  http://127.0.0.1:23721  5f0c77a1", "n1 http://127.0.0.1:7071 00c0ffee"),
        ("etcd holds no cluster c0, and …", "etcd holds no cluster c0, and this node has its state"),
        ("a\n…\nc", "a\nb\nb\nc"),
        ('{"a": [1, "x"]}', '{"a":[2,"x"],"more":null}'),
    ],
)
def test_what_changes_from_run_to_run_may_change(page: str, real: str) -> None:
    assert missing(page, real) is None


@pytest.mark.parametrize(
    ("page", "real"),
    [
        ("state pending", "state dead"),
        ("1  success  200  40 ms", "1  success  500  40 ms"),
        ("a\nb", "b\na"),
        ("c0  ok", "c0  ok, but late"),
        ('{"a": [1, "x"]}', '{"a":[1,"y"]}'),
        ('{"a": 1}', '{"a":"1"}'),
        ('{"a": 1}', "no document"),
    ],
)
def test_anything_else_is_noticed(page: str, real: str) -> None:
    assert missing(page, real) is not None


def test_a_command_may_take_lines_and_is_followed_by_what_it_shows() -> None:
    assert commands_in("a \\\n  b\nfor n in 1 2; do\n    c $n\ndone  # twice\nd '{\n}'\n") == [
        ("a \\\n  b", ""),
        ("for n in 1 2; do\n    c $n\ndone  # twice", ""),
        ("d '{\n}'", ""),
    ]
    assert commands_in("$ a\nx\ny\n$ b\n") == [("a", "x\ny\n"), ("b", "")]


PAGE = """# A page
## One
```console
$ NAME=Ada
$ echo "hello, $NAME"
hello, Ada
```
<!-- file: greeting.txt -->
```text
good evening
```
```sh
cat greeting.txt
```
```text
good …
```
## Two
"""


def reader(folder: Path, page: str) -> Reader:
    (folder / "page.md").write_text(page)
    return Reader(str(folder / "page.md"), folder / "reader", Here())


def test_a_page_is_read_in_one_shell_and_what_it_shows_has_to_come(tmp_path: Path) -> None:
    with reader(tmp_path, PAGE) as page:
        page.follow()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("hello, Ada", "hello, Bob", "the page shows\nhello, Bob"),
        ("$ NAME=Ada", "$ NAME=Ada; false", "ends with 1"),
        ("file:", "fiel:", "a comment of another kind"),
        ("## Two", "## Two\n```python\nprint(1 / 0)\n```", "ZeroDivisionError"),
        ("## Two", "## Two\n```json\n1\n```", "the page shows\n1"),
    ],
)
def test_what_does_not_come_is_told(tmp_path: Path, old: str, new: str, why: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(why)), reader(tmp_path, PAGE.replace(old, new)) as page:
        page.follow()


def test_nothing_is_left_out(tmp_path: Path) -> None:
    more = PAGE + "```sh\necho\n```\n"
    with pytest.raises(AssertionError, match="is not reached"), reader(tmp_path, more) as page:
        page.follow("Two")


def test_ports_and_words_are_those_of_the_test_and_back() -> None:
    here = Here({"/var/lib/hookline": "/tmp/of/test"}, {7070: 20_001, 9000: 20_002})
    assert here.here("curl http://127.0.0.1:7070/jobs/7070") == "curl http://127.0.0.1:20001/jobs/7070"
    assert here.here("hookline up --data-dir /var/lib/hookline") == "hookline up --port 20001 --data-dir /tmp/of/test"
    assert here.here("hookline listen --port 9000") == "hookline listen --port 20002"
    assert (
        here.there("ready http://127.0.0.1:20001 in /tmp/of/test") == "ready http://127.0.0.1:7070 in /var/lib/hookline"
    )
    assert here.unused() == set()
