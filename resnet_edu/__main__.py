"""`python -m resnet_edu` is `resnet-edu`."""

import sys

from . import __version__


def main() -> None:
    """The command; its version needs none of its libraries, which take half a second."""
    if sys.argv[1:] == ["--version"]:
        print(f"resnet-edu {__version__}")
    else:
        from .tools.cli import main as command

        command()


if __name__ == "__main__":
    main()
