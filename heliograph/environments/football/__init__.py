"""Google Research Football: the scenarios of its academy, on the package gfootball."""
