"""The files of a run: its recording, and the journal with which it goes on after a crash.

A recording has one schema (schema.py, spelled in JSON as spelling.py says), which its writer, its reader and
`docs/reference/recording.md` go by.
"""
