"""Tests of every package."""

import os
import sys

# Three test processes on two cores: with a thread for each core in all, OpenMP's threads wait for one another by
# spinning, and the tests of models take three times the CPU seconds. Commands that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Compiled once, as `make test` has it: else hundreds of processes compile this project anew, and pytest the tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
