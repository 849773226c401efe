"""The `fasttrack` command."""

import sys


def main() -> None:
    """Run the command line of this process and end with its exit code."""
    from fasttrack_cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
