"""Runs the checks of a script one after the other and says what became of each."""

import sys


def run(title, checks, *what):
    """Calls every check with `what`; ends the program with 1 if one failed."""
    failed = 0
    for check in checks:
        name = check.__name__.replace("_", " ")
        try:
            check(*what)
            print(f"ok      {name}")
        except Exception as error:  # every check is reported, whatever became of the others
            failed += 1
            print(f"FAILED  {name}: {type(error).__name__}: {error}")
    print(f"{title}: {len(checks) - failed} of {len(checks)} checks passed")
    sys.exit(1 if failed else 0)
