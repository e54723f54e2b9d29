"""``hookline completion``: let the shell complete commands and options."""

from typing import Literal


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print the completion script of a shell, for instance: eval "$(hookline completion bash)".

    Args:
        shell: The shell.
    """
    import sys

    from hookline.cli.app import app  # not at the top: app imports this module

    sys.stdout.write(app.generate_completion(shell=shell))
