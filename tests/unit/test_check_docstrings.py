from pathlib import Path

import pytest

from tools import check_docstrings


def write(root: Path, name: str, source: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)


@pytest.mark.parametrize("word", ["What", "Who", "Where", "Which", "Whose", "Whoever", "Whatever", "Wherever"])
@pytest.mark.parametrize(
    ("template", "line"),
    [
        ('"""{} is here."""\n', 1),
        ('def job():\n    """{} is here."""\n', 2),
        ('class Job:\n    """\n    {} is here.\n    """\n', 2),
        ('class Job:\n    id: str\n    """{} is here."""\n', 3),
    ],
)
def test_a_clause_at_the_beginning_is_found(tmp_path: Path, word: str, template: str, line: int) -> None:
    for folder in ("src/hookline", "tests/unit", "benchmarks", "tools"):
        write(tmp_path, f"{folder}/jobs.py", template.format(word))
    assert check_docstrings.findings(tmp_path) == [
        f"{folder}/jobs.py:{line}: a docstring opens with {word}; say what the code does or holds"
        for folder in ("src/hookline", "tests/unit", "benchmarks", "tools")
    ]


@pytest.mark.parametrize("text", ["Whether it is here.", "Says what is here.", "Whole lines.", "When it is here."])
def test_other_docstrings_are_left_alone(tmp_path: Path, text: str) -> None:
    write(tmp_path, "src/hookline/jobs.py", f'"""{text}"""\nASKED = """What is here?"""\n')
    assert check_docstrings.findings(tmp_path) == []


def test_the_exit_code_says_it(tmp_path: Path) -> None:  # `make lint` looks at the project's own
    write(tmp_path, "src/hookline/jobs.py", '"""A job."""\n')
    assert check_docstrings.main([str(tmp_path)]) == 0
    write(tmp_path, "src/hookline/jobs.py", '"""What is a job."""\n')
    assert check_docstrings.main([str(tmp_path)]) == 1
