"""Runs the tests of the Python package in a virtual environment, and checks the stubs with mypy.

Usage: run_tests.py PACKAGE_FOLDER ENVIRONMENT TESTS [SCRIPT...]

The scripts are the code of documents, which must run.

Exits with 77 if the environment cannot be made.
"""

import os
import subprocess
import sys
from pathlib import Path

NEEDED = ["numpy>=1.26", "ml_dtypes>=0.5", "mypy>=1.10"]


def main():
    """Makes the environment once, then runs tests and mypy in it."""
    package, environment, tests, *scripts = sys.argv[1:]
    python = Path(environment, "bin", "python")
    if (
        subprocess.run([python, "-c", "import numpy, ml_dtypes, mypy"], capture_output=True).returncode
        if (python.exists())
        else True
    ):
        made = subprocess.run([sys.executable, "-m", "venv", environment]).returncode == 0
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", *NEEDED]
        if not made or subprocess.run(pip).returncode != 0:
            print("skipped: numpy, ml_dtypes and mypy cannot be had from the package index")
            return 77
    os.environ["PYTHONPATH"] = package
    failed = subprocess.run([python, Path(tests, "python_package_test.py")]).returncode
    for script in scripts:
        failed = subprocess.run([python, script]).returncode or failed
    checked = subprocess.run([python, "-m", "mypy", "--strict", Path(package, "kerncast")]).returncode
    return 1 if failed or checked else 0


if __name__ == "__main__":
    sys.exit(main())
