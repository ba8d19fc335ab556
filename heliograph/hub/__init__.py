"""Teams on a model hub: what a repository of one holds, and how it gets there and back (the extra `hub`)."""
