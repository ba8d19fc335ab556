"""The file of a run: its recording, written and read, and the journal with which it goes on after a crash."""
