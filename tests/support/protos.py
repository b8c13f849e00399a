"""Protobuf's own runtime over the definitions in ``tests/core/wire/proto``: the codec's oracle."""

from __future__ import annotations

import functools
import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message as Proto

DEFINITIONS = Path(__file__).parents[1] / "core" / "wire" / "proto"


class Protos:
    """The compiled definitions."""

    def __init__(self, definitions: descriptor_pb2.FileDescriptorSet) -> None:
        self.pool = descriptor_pool.DescriptorPool()
        for file in definitions.file:
            self.pool.Add(file)
        self.names = [
            f"{file.package}.{message.name}"
            for file in definitions.file
            for message in file.message_type
        ]

    def descriptor(self, name: str) -> Descriptor:
        found = self.pool.FindMessageTypeByName(name)
        assert isinstance(found, Descriptor)
        return found

    def type(self, name: str) -> type[Proto]:
        return message_factory.GetMessageClass(self.descriptor(name))

    def parse(self, name: str, data: bytes) -> Proto:
        message = self.type(name)()
        message.ParseFromString(data)
        return message

    def make(self, name: str, values: Mapping[str, Any]) -> Proto:
        message = self.type(name)()
        fill(message, values)
        return message

    def encode(self, name: str, values: Mapping[str, Any]) -> bytes:
        return self.make(name, values).SerializeToString()

    def decode(self, name: str, data: bytes) -> dict[str, Any]:
        return to_dict(self.parse(name, data))


@functools.cache
def protos() -> Protos:
    """Compile the definitions, once in a test run."""
    protoc = importlib.import_module("grpc_tools.protoc")  # it has no types

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "definitions"
        well_known = Path(str(protoc.__file__)).parent / "_proto"
        arguments = [
            "protoc",
            f"--proto_path={DEFINITIONS}",
            f"--proto_path={well_known}",
            f"--descriptor_set_out={out}",
            "--include_imports",
            *sorted(file.name for file in DEFINITIONS.glob("*.proto")),
        ]
        assert protoc.main(arguments) == 0
        return Protos(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()))


def map_types(field: FieldDescriptor) -> tuple[FieldDescriptor, FieldDescriptor] | None:
    """The fields of a map's key and value; None when the field is no map."""
    inner = field.message_type
    if inner is None or not inner.GetOptions().map_entry:
        return None
    return inner.fields_by_name["key"], inner.fields_by_name["value"]


def fill(message: Proto, values: Mapping[str, Any]) -> None:
    """Set the fields of a protobuf message from a dict as the codec takes it."""
    for name, value in values.items():
        field: Any = message.DESCRIPTOR.fields_by_name[name]
        pair = map_types(field)
        target = getattr(message, name)
        if pair is not None:
            _fill_map(target, value, of_messages=pair[1].message_type is not None)
        elif field.is_repeated:
            for one in value:
                if field.message_type is None:
                    target.append(one)
                else:
                    fill(target.add(), one)
        elif field.message_type is not None:
            target.SetInParent()
            fill(target, value)
        else:
            setattr(message, name, value)


def _fill_map(target: Any, values: Mapping[Any, Any], *, of_messages: bool) -> None:  # noqa: ANN401
    for key, value in values.items():
        if of_messages:
            fill(target[key], value)
        else:
            target[key] = value


def to_dict(message: Proto) -> dict[str, Any]:
    """Turn a protobuf message into a dict, without the fields that hold proto3's defaults."""
    out: dict[str, Any] = {}
    for field, value in message.ListFields():
        pair = map_types(field)
        if pair is not None:
            nested = pair[1].message_type is not None
            out[field.name] = {key: to_dict(value[key]) if nested else value[key] for key in value}
        elif field.is_repeated:
            nested = field.message_type is not None
            out[field.name] = [to_dict(one) if nested else one for one in value]
        elif field.message_type is not None:
            out[field.name] = to_dict(value)
        else:
            out[field.name] = value
    return out
