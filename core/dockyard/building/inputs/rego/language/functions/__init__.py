"""Rego's own functions: those that a policy for builds may use.

They are pure: nothing here reads a file, asks a server or looks at the environment. What is given
something that it does not take raises :class:`~..fault.WrongOperandError`.
"""
