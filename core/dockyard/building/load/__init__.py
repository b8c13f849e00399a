"""Bringing a build's image into an engine.

Reading order: ``stream`` (one archive into one engine), ``pipe`` (the same while the build still
sends it), ``content`` (an image known blob by blob), ``archive`` (blobs as an archive), ``place``
(what an engine is asked), ``classic`` and ``containerd`` (what an engine lacks, by its kind of
image store), ``record`` (what is remembered of loads), ``incremental`` (all of these together),
``sending`` (how it is shown), ``delivery`` and ``loads`` (what a build does about it).
"""
