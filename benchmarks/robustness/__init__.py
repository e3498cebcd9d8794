"""Attacks on facekit, in numbers: ``python -m benchmarks.robustness cache metrics kills ... [--count N] [--seed N]``.

Each attack damages or kills something many times, and counts what came of it. Only the last of these is a defect:

- noticed: facekit said so in a sentence, or went on as if nothing had happened where that is what it is to do;
- harmless: nothing that anybody reads had changed (a capital E in a number);
- fell: it was not noticed, something sound was lost, or there was a traceback.
"""
