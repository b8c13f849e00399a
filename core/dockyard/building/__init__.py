"""A build from what was asked for to what came of it."""
