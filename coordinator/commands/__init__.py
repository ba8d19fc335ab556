"""The commands of the coordinator.  They parse first: what is heavy is imported when a command runs."""
