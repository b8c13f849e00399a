"""HTTP/2 and gRPC as BuildKit uses them, over any byte stream, with nothing but the interpreter.

Read in this order: :mod:`.frames` (the words of HTTP/2), :mod:`.hpack` (header compression),
:mod:`.stream` and :mod:`.connection` (the engine, which does no input or output of its own),
:mod:`.carrier` (what joins an engine to a file descriptor), :mod:`.call` and :mod:`.grpc` (gRPC:
calls, channels and servers), :mod:`.tunnel` (a server inside a call). :mod:`.codec` and
:mod:`.messages` turn the bytes of a message into a dictionary and back.
"""
