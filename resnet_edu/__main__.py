"""`python -m resnet_edu` is `resnet-edu`."""

import sys

from . import __version__


def main() -> None:
    """The entry point; the version is told before anything else is loaded."""
    if sys.argv[1:] == ["--version"]:
        print(f"resnet-edu {__version__}")
        return
    from .tools.cli import main as command

    command()


if __name__ == "__main__":
    main()
