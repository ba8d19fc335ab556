"""`--watch` and `heliograph watch`: a page on which a running team can be seen, and paused.

A run tells a `Watcher` of its steps and asks a `Gate` before each; a thread of its own serves both to browsers, so that
no page, however slow, holds a step up.  For `coordinator.observers.observers`.
"""
