"""An mkdocs hook: the sections in the order a newcomer reads them, the pages of a section by file name.

With this there is no list of pages to keep: a new file in a folder of docs/ is in the navigation.
"""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ORDER = ("", "tutorial", "how-to", "reference", "explanation", "decisions")


def place(file: File) -> tuple[int, bool, str]:
    """Sorts by section, then the section's index page first, then by path; unknown sections come last."""
    section, _, _ = file.src_uri.rpartition("/")
    top = section.partition("/")[0]
    return ORDER.index(top) if top in ORDER else len(ORDER), file.name != "index", file.src_uri


def on_files(files: Files, config: MkDocsConfig) -> Files:
    return Files(sorted(files, key=place))
