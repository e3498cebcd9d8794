"""What holds for all tests, those of the plugins included."""

from __future__ import annotations

import os
import signal

# Trackers that happen to be installed stay out of the runs of tests, which a test of the tracker undoes for itself.
os.environ["FACEKIT_TENSORBOARD"] = "off"

# Tests are small: a second thread gains nothing, and where the machine is busy each waits for the other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A script that starts the tests in the background switches Ctrl-C off for all that they start; some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
