"""`heliograph compare`: what runs achieved, side by side.  Reads their files alone, so it needs no torch."""
