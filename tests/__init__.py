"""Tests of the core; a package, so that those of plugins find it before any other of this name."""
