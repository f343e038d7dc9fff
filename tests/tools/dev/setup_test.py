"""Runs tools/dev/setup.sh on machines that lack something: programs of this test's own stand in for apt, sudo and pip.

Usage: setup_test.py ROOT
"""

import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(sys.argv[1]).resolve()

INSTALLED = "echo 'install ok installed'"
MISSING = "exit 1"
NO_NETWORK = 'for i in $(seq 100); do echo "E: Failed to fetch $i" >&2; done; exit 100'


def setup(*parts, **programs):
    """Exit code and standard error of the script with these programs in the place of the machine's."""
    with tempfile.TemporaryDirectory() as folder:
        fakes = pathlib.Path(folder) / "bin"
        fakes.mkdir()
        for name, body in programs.items():
            program = fakes / name.replace("_", "-")
            program.write_text(f"#!/bin/bash\n{body}\n")
            program.chmod(0o755)
        # An ordinary user's path has no /usr/sbin.
        environment = {"PATH": f"{fakes}:/usr/bin:/bin", "HOME": folder}
        run = subprocess.run(
            ["bash", str(ROOT / "tools/dev/setup.sh"), f"{folder}/build", *parts],
            env=environment,
            capture_output=True,
            text=True,
        )
        return run.returncode, run.stderr


def main():
    # A user who may not install is handed the line for an administrator.
    code, text = setup(dpkg_query=MISSING, id="echo 1000", sudo="exit 1")
    assert code == 1 and "apt-get install -y" in text and "Ask an administrator" in text, text
    assert "ninja-build" in text and "redis-server" not in text, "the servers are for the tests alone"
    code, text = setup("tests", dpkg_query=MISSING, id="echo 1000", sudo="exit 1")
    assert code == 1 and "redis-server" in text and "python3-venv" in text, text
    assert "chromium" not in text, "the browser is large, and the tests do without it"
    code, text = setup("browser", dpkg_query=MISSING, id="echo 1000", sudo="exit 1")
    assert code == 1 and "chromium" in text, text

    # Without network the errors of apt and pip are cut to their end, and a line says what to look at.
    code, text = setup(dpkg_query=MISSING, id="echo 0", apt_get=NO_NETWORK)
    assert code == 1 and "Is the network up" in text and text.count("\n") <= 4, text
    no_toolkit = {"dpkg_query": INSTALLED, "ldconfig": "exit 0"}
    code, text = setup(**no_toolkit, python3="echo 'ERROR: no matching distribution' >&2; exit 1")
    if code != 0:  # 0: this machine has a CUDA toolkit in the usual place
        assert code == 1 and "pip could not fetch nvidia-cuda-nvrtc" in text and "toolkit" in text, text

    # ldconfig is found although it is in no ordinary user's path.
    code, text = setup(dpkg_query=INSTALLED, python3="exit 0")
    assert code == 0 and "not found" not in text, text

    # A part that does not exist is bad usage.
    code, text = setup("everything", dpkg_query=INSTALLED)
    assert code == 2 and "unknown part 'everything'" in text, text


if __name__ == "__main__":
    main()
