"""The release. Said here only: looking it up in the installed package takes longer than a small command."""

__version__ = "0.1.0"
