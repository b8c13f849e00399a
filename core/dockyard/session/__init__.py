"""What a daemon may ask of the client during a build: files, outputs, credentials, secrets.

Reading order: ``session`` (the stream and its life), ``service`` (how calls are answered), then one
attachable a file: ``health``, ``filesync``, ``output`` with ``sink``, ``content`` with
``content_store``, ``oci_layout`` and ``oci_index``, ``upload``, ``secrets``, and ``auth`` with
``token``, ``http``, ``authority`` and ``ed25519``.
"""
