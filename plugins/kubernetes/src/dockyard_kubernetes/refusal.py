"""What to do when the cluster's own rules forbid what a builder needs, by the words it uses."""

from __future__ import annotations

_HINTS = (
    (
        "violates podsecurity",
        "the namespace admits no such pods: use one whose label "
        "pod-security.kubernetes.io/enforce is privileged, with --driver-opt namespace=NAME",
    ),
    (
        "exceeded quota",
        "ask for less with the options requests.*, limits.* and replicas, or have the quota raised",
    ),
    (
        "failed quota",
        "the quota of the namespace wants limits and requests: "
        "give them with the options limits.* and requests.*",
    ),
    (
        "error looking up service account",
        "make it with kubectl create serviceaccount, or name another with "
        "--driver-opt serviceaccount=NAME",
    ),
    (
        "admission webhook",
        "that is a policy of this cluster; what it wants may be put into a pod template: "
        "--driver-opt template=FILE",
    ),
    (
        "usage per container",
        "a limit range of the namespace says so: set the options limits.* and requests.* within it",
    ),
)


def policy_hint(words: str) -> str | None:
    """Give what may be done about a refusal; None where that is not known."""
    lower = words.lower()
    return next((hint for part, hint in _HINTS if part in lower), None)
