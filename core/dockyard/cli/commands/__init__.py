"""The commands, one a module. Each has a ``COMMAND`` and is imported only when it is asked for."""
