"""One build on several nodes, and one result of theirs."""
