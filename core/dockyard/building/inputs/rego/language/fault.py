"""What is wrong with a policy, and where."""

from __future__ import annotations


class PolicyFaultError(Exception):
    """A policy cannot be read, or cannot be evaluated."""

    def __init__(self, message: str, file: str = "", line: int = 0) -> None:
        self.message = message
        self.file = file
        self.line = line
        super().__init__(message)

    def __str__(self) -> str:
        if self.line:
            return f"{self.file}:{self.line}: {self.message}"
        return f"{self.file}: {self.message}" if self.file else self.message


class WrongOperandError(Exception):
    """A function was given what it does not take: its result is undefined."""
