"""`python -m dioptra` is the command `dioptra`."""

from dioptra.cli import main

if __name__ == "__main__":
    main()
