"""The report of a measurement: its document, its tables, and how terminal, page, plots and CSV show them."""
