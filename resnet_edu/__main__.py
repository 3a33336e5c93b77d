"""`python -m resnet_edu` is `resnet-edu`."""

from .cli import main

if __name__ == "__main__":
    main()
