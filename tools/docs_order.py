"""An mkdocs hook: the sections in the order a newcomer reads them, the pages of a section by file name.

With this there is no list of pages to keep: a new file in a folder of docs/ is in the navigation.
"""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.utils import nest_paths

ORDER = ("index.md", "tutorial", "how-to", "reference", "explanation", "decisions")


def place(path: str) -> tuple[int, str, bool, str]:
    """Sorts by section, then by folder with its index page first; unknown sections come last."""
    top = path.partition("/")[0]
    folder, _, name = path.rpartition("/")
    return ORDER.index(top) if top in ORDER else len(ORDER), folder, name != "index.md", name


def on_files(files: Files, config: MkDocsConfig) -> Files:
    paths = sorted((file.src_uri for file in files.documentation_pages()), key=place)
    config.nav = nest_paths(paths)
    return files
