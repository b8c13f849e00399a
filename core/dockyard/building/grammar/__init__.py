"""The grammars of a build's flags, each turned into its part of a request."""
