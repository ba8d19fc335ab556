"""Tables of reports, described once: for the terminal, for pages and as CSV.  All reports of the analyses use them."""
