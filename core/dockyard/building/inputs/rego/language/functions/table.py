"""All functions by their names, and how many arguments each takes."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature

from dockyard.building.inputs.rego.language.functions import (
    collections,
    encodings,
    expressions,
    formats,
    numbers,
    strings,
    times,
    versions,
)
from dockyard.building.inputs.rego.language.term import Function

FUNCTIONS: Mapping[str, Function] = {
    "plus": numbers.plus, "minus": numbers.minus, "mul": numbers.mul, "div": numbers.div,
    "rem": numbers.rem, "abs": numbers.absolute, "ceil": numbers.ceiling, "floor": numbers.floor,
    "round": numbers.rounded,
    "bits.and": numbers.bits_and, "bits.or": numbers.bits_or, "bits.xor": numbers.bits_xor,
    "bits.negate": numbers.bits_negate, "bits.lsh": numbers.bits_lsh, "bits.rsh": numbers.bits_rsh,
    "equal": numbers.equals, "neq": numbers.differs, "lt": numbers.below, "lte": numbers.at_most,
    "gt": numbers.above, "gte": numbers.at_least,
    "count": numbers.count, "sum": numbers.total, "product": numbers.product,
    "max": numbers.largest, "min": numbers.smallest, "sort": numbers.ordered,
    "to_number": numbers.to_number, "format_int": numbers.format_int,
    "numbers.range": numbers.numbers_range, "numbers.range_step": numbers.numbers_range_step,
    "internal.member_2": collections.member_2, "internal.member_3": collections.member_3,
    "and": collections.both, "or": collections.either,
    "intersection": collections.intersection, "union": collections.union,
    "array.concat": collections.array_concat, "array.slice": collections.array_slice,
    "array.reverse": collections.array_reverse, "array.flatten": collections.array_flatten,
    "object.get": collections.object_get, "object.keys": collections.object_keys,
    "object.remove": collections.object_remove, "object.filter": collections.object_filter,
    "object.union": collections.object_union, "object.union_n": collections.object_union_n,
    "object.subset": collections.object_subset,
    "json.remove": collections.json_remove, "json.filter": collections.json_filter,
    "type_name": collections.type_name, "is_number": collections.is_number,
    "is_string": collections.is_string, "is_boolean": collections.is_boolean,
    "is_array": collections.is_array, "is_set": collections.is_set,
    "is_object": collections.is_object, "is_null": collections.is_null,
    "concat": strings.concat, "contains": strings.contains, "startswith": strings.startswith,
    "endswith": strings.endswith, "indexof": strings.indexof, "indexof_n": strings.indexof_n,
    "substring": strings.substring, "lower": strings.lower, "upper": strings.upper,
    "split": strings.split, "replace": strings.replace, "trim": strings.trim,
    "trim_left": strings.trim_left, "trim_right": strings.trim_right,
    "trim_prefix": strings.trim_prefix, "trim_suffix": strings.trim_suffix,
    "trim_space": strings.trim_space, "strings.replace_n": strings.replace_n,
    "strings.reverse": strings.reverse, "strings.count": strings.strings_count,
    "strings.any_prefix_match": strings.any_prefix_match,
    "strings.any_suffix_match": strings.any_suffix_match,
    "sprintf": formats.sprintf,
    "regex.match": expressions.match, "regex.is_valid": expressions.is_valid,
    "regex.find_n": expressions.find_n, "regex.split": expressions.split,
    "regex.find_all_string_submatch_n": expressions.find_all_submatches,
    "regex.replace": expressions.replace,
    "glob.match": expressions.glob_match, "glob.quote_meta": expressions.glob_quote_meta,
    "json.marshal": encodings.json_marshal, "json.unmarshal": encodings.json_unmarshal,
    "json.is_valid": encodings.json_is_valid,
    "base64.encode": encodings.base64_encode, "base64.decode": encodings.base64_decode,
    "base64.is_valid": encodings.base64_is_valid,
    "base64url.encode": encodings.base64url_encode,
    "base64url.encode_no_pad": encodings.base64url_encode_no_pad,
    "base64url.decode": encodings.base64url_decode,
    "hex.encode": encodings.hex_encode, "hex.decode": encodings.hex_decode,
    "urlquery.encode": encodings.query_encode, "urlquery.decode": encodings.query_decode,
    "urlquery.encode_object": encodings.query_encode_object,
    "urlquery.decode_object": encodings.query_decode_object,
    "time.parse_rfc3339_ns": times.parse_rfc3339,
    "time.parse_duration_ns": times.parse_duration,
    "time.date": times.date, "time.clock": times.clock, "time.weekday": times.weekday,
    "time.add_date": times.add_date,
    "semver.compare": versions.compare, "semver.is_valid": versions.is_valid,
    "units.parse": versions.units_parse, "units.parse_bytes": versions.units_parse_bytes,
}  # fmt: skip
"""What every policy may use; ``time.now_ns`` comes from who evaluates it."""


def arities(functions: Mapping[str, Function]) -> dict[str, int]:
    """Give how many arguments each function takes."""
    return {name: len(signature(function).parameters) for name, function in functions.items()}
