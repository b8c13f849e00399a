"""Local caches of a request, before the build and after it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from dockyard.building.caches.local import LocalCaches, check_caches, with_inline_cache
from dockyard.driver import BuildRequest, CacheEntry, Output
from dockyard.errors import InputError, OutputError
from dockyard.session.oci_index import Name, put
from dockyard.session.oci_layout import OciLayout

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def local(**attributes: str) -> CacheEntry:
    return CacheEntry(type="local", attributes=attributes)


def request(here: Path, **values: Any) -> BuildRequest:  # noqa: ANN401  # any of its fields
    return BuildRequest(working_directory=str(here), **values)


def write_cache(path: Path, content: str = "") -> dict[str, Any]:
    """Leave a cache without steps in a directory, as BuildKit would; the index is another's."""
    data = json.dumps({"mediaType": MANIFEST, "layers": [], "comment": content}).encode()
    name = hashlib.sha256(data).hexdigest()
    (path / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    (path / "blobs/sha256" / name).write_bytes(data)
    return {"mediaType": MANIFEST, "digest": f"sha256:{name}", "size": len(data)}


def entries(path: Path) -> dict[str, str]:
    return {
        entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"]
        for entry in json.loads((path / "index.json").read_text())["manifests"]
    }


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"cache_from": (local(),)}, "^local cache importer requires src$"),
        ({"cache_to": (local(src="x"),)}, "^local cache exporter requires dest$"),
        ({"cache_to": (local(dest=""),)}, "^local cache exporter requires dest$"),
        ({"cache_from": (CacheEntry(type="registry"),)}, "^registry cache importer requires ref$"),
        ({"cache_to": (CacheEntry(type="registry"),)}, "^registry cache exporter requires ref$"),
    ],
)
def test_a_cache_needs_a_place(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_caches(request(tmp_path, **values))


@pytest.mark.parametrize("place", ["out", "out/cache", "other/../out/cache", "link/cache"])
@pytest.mark.parametrize(("list_", "key"), [("cache_from", "src"), ("cache_to", "dest")])
def test_a_cache_is_not_kept_where_the_build_removes_it(
    tmp_path: Path, place: str, list_: str, key: str
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "out")
    mirror = Output(type="local", attributes={"mode": "delete"}, dest=str(tmp_path / "out"))
    copy = Output(type="local", dest=str(tmp_path / "out"))
    caches = {list_: (local(**{key: place}),)}

    with pytest.raises(InputError, match=f"^the cache {place} lies in .*/out, .*mode=delete"):
        check_caches(request(tmp_path, outputs=(mirror,), **caches))
    assert check_caches(request(tmp_path, outputs=(copy,), **caches))


def test_a_cache_beside_what_is_mirrored_stays(tmp_path: Path) -> None:
    mirror = Output(type="local", attributes={"mode": "delete"}, dest=str(tmp_path / "out"))

    assert check_caches(request(tmp_path, outputs=(mirror,), cache_to=(local(dest="outer"),)))


def test_only_local_caches_are_work_for_us(tmp_path: Path) -> None:
    others = (CacheEntry(type="registry", attributes={"ref": "a"}), CacheEntry(type="gha"))

    assert not check_caches(request(tmp_path, cache_from=others, cache_to=others))
    assert check_caches(request(tmp_path, cache_to=(*others, local(dest="x"))))


def test_other_caches_are_passed_on_as_they_are(tmp_path: Path) -> None:
    others = (CacheEntry(type="registry", attributes={"ref": "a"}), CacheEntry(type="inline"))
    asked = request(tmp_path, cache_from=others, cache_to=(others[0], local(dest="x"), others[1]))

    prepared = LocalCaches().prepare(asked, pytest.fail)

    assert prepared.cache_from == others
    assert (prepared.cache_to[0], prepared.cache_to[2]) == others


def test_the_daemon_gets_absolute_names_and_the_digest(tmp_path: Path) -> None:
    made = write_cache(tmp_path / "in")
    put(OciLayout(tmp_path / "in"), made, [Name(ref="latest"), Name(ref="other")])
    caches = LocalCaches()

    prepared = caches.prepare(
        request(
            tmp_path,
            cache_from=(local(src="in"), local(src="in", tag="other"), local(src="in", x="y")),
            cache_to=(local(dest="out", mode="max"),),
        ),
        pytest.fail,
    )

    found = {"src": f"{tmp_path}/in", "digest": made["digest"]}
    assert [entry.attributes for entry in prepared.cache_from] == [
        found,
        {**found, "tag": "other"},
        {**found, "x": "y"},
    ]
    assert prepared.cache_to[0].attributes == {"dest": f"{tmp_path}/out", "mode": "max"}
    assert set(caches.stores) == {f"local:{tmp_path}/in", f"local:{tmp_path}/out"}
    assert not (tmp_path / "out").exists()


def test_a_name_travels_in_a_header_whatever_the_directory_is_called(tmp_path: Path) -> None:
    caches = LocalCaches()

    caches.prepare(request(tmp_path, cache_to=(local(dest="Zwischenablage für später\n"),)), print)

    assert all(name.isascii() and name.isprintable() for name in caches.stores)


@pytest.mark.parametrize(
    ("spoil", "entry", "words"),
    [
        (
            None,
            {"src": "nosuch"},
            " due to err: could not read nosuch/index.json: open nosuch/index.json: no such ",
        ),
        ("{", {"src": "in"}, " due to err: could not read in/index.json: it is no JSON"),
        ("{}", {"src": "in"}, ": no digest found for tag latest"),
        ("{}", {"src": "in", "tag": "t"}, ": no digest found for tag t"),
        ("{}", {"src": "in", "digest": "x"}, ": digest x unavailable: content x: not found"),
    ],
)
def test_a_cache_that_cannot_be_read_is_left_out(
    tmp_path: Path, spoil: str | None, entry: dict[str, str], words: str
) -> None:
    (tmp_path / "in").mkdir()
    if spoil is not None:
        (tmp_path / "in/index.json").write_text(spoil)
    warnings: list[str] = []

    prepared = LocalCaches().prepare(
        request(tmp_path, cache_from=(local(**entry),)), warnings.append
    )

    assert prepared.cache_from == ()
    (warning,) = warnings
    expected = words.replace("HERE", str(tmp_path))
    assert warning.startswith(f"local cache import at {entry['src']} skipped{expected}")
    assert not (tmp_path / "nosuch").exists()


def test_a_cache_whose_begin_is_gone_is_left_out(tmp_path: Path) -> None:
    made = {"mediaType": MANIFEST, "digest": "sha256:" + "0" * 64, "size": 1}
    put(OciLayout(tmp_path), made, [Name(ref="latest")])
    warnings: list[str] = []

    prepared = LocalCaches().prepare(
        request(tmp_path, cache_from=(local(src="."),)), warnings.append
    )

    assert prepared.cache_from == ()
    assert "unavailable" in warnings[0]


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match=f"^destination directory {tmp_path}/file is a file$"):
        LocalCaches().prepare(request(tmp_path, cache_to=(local(dest="file"),)), print)
    with pytest.raises(InputError, match='^failed to parse reset attribute: .*"perhaps"$'):
        LocalCaches().prepare(
            request(tmp_path, cache_to=(local(dest="x", reset="perhaps"),)), print
        )
    with pytest.raises(InputError, match="^local cache importer requires either explicit digest"):
        LocalCaches().prepare(request(tmp_path, cache_from=(local(src="x", tag=""),)), print)


def prepared(here: Path, *exports: CacheEntry) -> LocalCaches:
    caches = LocalCaches()
    caches.prepare(request(here, cache_to=exports), print)
    return caches


def test_what_was_written_is_entered(tmp_path: Path) -> None:
    caches = prepared(tmp_path, local(dest="a"), local(dest="b", tag="t"))
    made = write_cache(tmp_path / "a")
    write_cache(tmp_path / "b")

    caches.finish({"cache.manifest": json.dumps(made)})

    assert entries(tmp_path / "a") == {"latest": made["digest"]}
    assert entries(tmp_path / "b") == {"t": made["digest"]}


def test_each_directory_gets_its_own_cache_although_the_daemon_names_one(tmp_path: Path) -> None:
    caches = prepared(tmp_path, local(dest="a"), local(dest="b"), local(dest="a", tag="t"))
    made = {name: write_cache(tmp_path / name[0], name) for name in ("a", "b", "a+")}
    for name, descriptor in made.items():
        caches.stores[f"local:{tmp_path}/{name}"].note(descriptor["digest"])

    caches.finish({"cache.manifest": json.dumps(made["b"])})

    assert entries(tmp_path / "a") == {"latest": made["a"]["digest"], "t": made["a+"]["digest"]}
    assert entries(tmp_path / "b") == {"latest": made["b"]["digest"]}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("", "reports success, but wrote no cache to"),
        ("{}", "wrote a cache that makes no sense"),
        (
            json.dumps({"mediaType": MANIFEST, "digest": "sha256:" + "0" * 64, "size": 1}),
            "reports success, but sent no whole result for",
        ),
    ],
)
def test_a_daemon_that_wrote_nothing_is_not_believed(
    tmp_path: Path, answer: str, words: str
) -> None:
    caches = prepared(tmp_path, local(dest="a"))

    with pytest.raises(OutputError, match=words):
        caches.finish({"cache.manifest": answer})
    assert not (tmp_path / "a").exists()


def test_a_cache_whose_failure_is_ignored_need_not_be_there(tmp_path: Path) -> None:
    prepared(tmp_path, local(dest="a", **{"ignore-error": "true"})).finish({})

    assert not (tmp_path / "a").exists()


def test_reset_leaves_only_what_the_index_names(tmp_path: Path) -> None:
    import os

    old = write_cache(tmp_path / "a", "old")
    path = tmp_path / "a/blobs/sha256" / old["digest"][7:]
    os.utime(path, (1, 1))
    caches = prepared(tmp_path, local(dest="a", reset="true"))
    made = write_cache(tmp_path / "a", "new")

    caches.finish({"cache.manifest": json.dumps(made)})

    assert not path.exists()
    assert entries(tmp_path / "a") == {"latest": made["digest"]}


def test_a_build_argument_writes_the_cache_into_the_image(tmp_path: Path) -> None:
    asked = request(
        tmp_path, build_args={"BUILDKIT_INLINE_CACHE": "1"}, cache_to=(local(dest="x"),)
    )

    assert with_inline_cache(asked).cache_to == (local(dest="x"), CacheEntry(type="inline"))
    assert with_inline_cache(with_inline_cache(asked)) == with_inline_cache(asked)


@pytest.mark.parametrize("value", ["0", "false", "", "perhaps"])
def test_another_value_does_not(tmp_path: Path, value: str) -> None:
    asked = request(tmp_path, build_args={"BUILDKIT_INLINE_CACHE": value})

    assert with_inline_cache(asked) is asked
