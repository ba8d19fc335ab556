"""`heliograph doctor`: looks at an installation and says what is there, what is missing, and what to do about it.

May be imported by nobody else.  Simulators and frameworks are tried in processes of their own, never imported.
"""
