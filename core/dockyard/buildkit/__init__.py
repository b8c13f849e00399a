"""A client of BuildKit's control API.

Read in this order: :mod:`.client` (the connection, its loop and its errors), :mod:`.solve` (one
build), :mod:`.status` (progress as events), :mod:`.details` (what a failed build says about
itself), :mod:`.heartbeat` (noticing a daemon that is gone),
:mod:`.content` (blobs of what was built).
"""
