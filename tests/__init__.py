"""Tests of every package."""

import os

# Two test processes on two cores: with a thread for each core in both, OpenMP's threads wait for one another by
# spinning, and the tests of models take three times the CPU seconds. Commands that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
