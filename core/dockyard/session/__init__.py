"""What a daemon may ask of the client during a build: files, outputs, credentials, secrets.

Reading order: ``session`` (the stream and its life), ``service`` and ``turns`` (how calls are
answered), then one attachable a file: ``health``, ``filesync``, ``output`` with ``sink``,
``content`` with ``content_write``, ``content_store``, ``oci_layout``, ``oci_graph`` and
``oci_index``, ``upload``, ``secrets``, ``ssh`` with ``ssh_agent`` and ``ssh_key``, and ``auth``
with ``token``, ``http``, ``authority`` and ``ed25519``.
"""
