"""Telling plugins what happens in a run, so that none of them can stop it or change it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

from facekit.interfaces import RunEvent
from facekit.registry.plugins import PluginOrigin, PluginSet, describe_error

HOOK = "facekit_run_event"

SLOW = 5.0
"""Seconds with one event after which a watcher is named: the run waits for it."""


class Watchers:
    """The plugins that watch one run.

    They are told in the process that trains, one after the other, and the run waits for each. One that raises is
    named, and told nothing more of this run. ``seconds`` is the time spent in each so far.
    """

    def __init__(self, plugins: PluginSet) -> None:
        self.seconds: defaultdict[PluginOrigin, float] = defaultdict(float)
        self._plugins = plugins
        self._deaf: set[int] = set()
        self._slow: set[int] = set()

    def tell(self, event: RunEvent, *, complain: Callable[[str], None]) -> None:
        """Tell every watcher what happened; ``complain`` is told of one that raised, took long, or was interrupted.

        Raises:
            KeyboardInterrupt: Ctrl-C came while a watcher was at work; that one, which may hang, is told nothing more.
            FacekitError: a watcher raised, and failures of plugins are fatal.
        """
        for loaded, take_in in self._plugins.implementations(HOOK):
            key, name = id(loaded.plugin), f"the plugin {loaded.origin.name!r} of {loaded.origin}"
            what = type(event).__name__
            if key in self._deaf:
                continue
            began = time.perf_counter()
            try:
                with self._plugins.stdout_kept(loaded.origin):
                    take_in(event=event)
            except KeyboardInterrupt:
                self._deaf.add(key)
                complain(
                    f"{name} was at work on {what} for {time.perf_counter() - began:.1f} s when the run was "
                    "interrupted; it is told nothing more of this run"
                )
                raise
            except BaseException as error:  # a plugin may even call sys.exit
                self._deaf.add(key)
                self._plugins.quarantine(loaded.origin, f"calling {HOOK}", error)
                complain(
                    f"{name} failed while it watched the run, and is told nothing more of it: {describe_error(error)}"
                )
            finally:
                seconds = time.perf_counter() - began
                self.seconds[loaded.origin] += seconds
            if seconds >= SLOW and not {key} & (self._slow | self._deaf):
                self._slow.add(key)
                complain(f"{name} took {seconds:.1f} s over {what}; the run waits for the plugins that watch it")
