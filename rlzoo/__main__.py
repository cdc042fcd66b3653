"""`python -m rlzoo` is the `rlzoo` command, which finds no modules in the current folder either."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the current folder, put there for `-m`; before anything else is imported
    from rlzoo.cli.main import main

    raise SystemExit(main())
