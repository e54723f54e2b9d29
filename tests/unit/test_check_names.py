from pathlib import Path

import pytest

from tools import check_names


def package(root: Path, **sources: str) -> Path:
    for name, source in sources.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return root


@pytest.mark.parametrize("other", ["class Frame:\n    pass\n", "Frame = tuple[int, str]\n"])
def test_a_name_that_is_there_twice_is_found(tmp_path: Path, other: str) -> None:
    place = package(tmp_path, a="class Frame:\n    pass\n", b__c=other)
    assert check_names.findings(place) == ["Frame is in a.py, b/c.py; rename one"]


def test_constants_and_what_is_inside_others_may_be_there_twice(tmp_path: Path) -> None:
    source = 'T = TypeVar("T")\nBYTES_MAX = 1\ndef run():\n    class Local:\n        pass\n'
    assert check_names.findings(package(tmp_path, a=source, b=source)) == []


def test_the_answers_of_the_sdk_are_named_as_what_the_service_sends(tmp_path: Path) -> None:
    source = "class Job:\n    pass\n"
    place = package(tmp_path, client__answers=source, protocol__http=source)
    assert check_names.findings(place) == []
    package(tmp_path, node__jobs=source)
    assert len(check_names.findings(place)) == 1


def test_no_name_of_the_source_is_there_twice() -> None:
    assert check_names.main([]) == 0
