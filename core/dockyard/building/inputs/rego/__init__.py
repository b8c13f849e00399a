"""Policies in Rego: files that say which images, repositories and URLs a build may use.

A daemon asks about each source (:mod:`dockyard.session.policy`); :mod:`.policy` decides, with the
evaluator in :mod:`.language`.
"""
