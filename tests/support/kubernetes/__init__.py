"""A Kubernetes API server of our own, whose pods are containers on a real engine.

It speaks real HTTPS and real WebSocket, keeps the resources that the driver uses with the
validation, the watch and the words of the real server, and can be told to misbehave. Read
``cluster`` first: it is what tests hold in their hands.
"""
