"""Docker Engines: the contexts that name them, and byte streams to them."""
