"""A client of BuildKit's control API.

Read in this order: :mod:`.client` (the connection, its loop and its errors), :mod:`.request` and
:mod:`.solve` (one build), :mod:`.status` (progress as events), :mod:`.details` and
:mod:`.failure` (what a failed build says about itself), :mod:`.heartbeat` (noticing a daemon that
is gone), :mod:`.gateway` with :mod:`.forward`, :mod:`.linked` and :mod:`.download` (builds that we
lead), :mod:`.probe` (what a daemon can do), :mod:`.content` and :mod:`.history` (what was built).
"""
