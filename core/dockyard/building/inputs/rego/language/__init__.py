"""The policy language Rego, version 1: read, checked and evaluated here, with RE2 for expressions.

No other evaluator can be had from Python that is exact about strings and lets a caller see which
parts of the input were looked at, which is how a policy is kept from deciding on what is not known
yet. What of the language is not here is refused by name, never guessed.
"""
