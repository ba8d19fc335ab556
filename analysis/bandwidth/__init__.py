"""The bandwidth tool: cost, value and content of a team's messages.  For the commands `heliograph bandwidth …`."""
