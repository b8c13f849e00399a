"""What a build leaves here beside its outputs' files."""
