"""`python -m resnet_edu` is `resnet-edu`."""

from .tools.cli import main

if __name__ == "__main__":
    main()
