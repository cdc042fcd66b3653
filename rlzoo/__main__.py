"""`python -m rlzoo` is the `rlzoo` command."""

from rlzoo.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
