"""The functions that builds add to Rego, and the bounds of an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, time_ns

from dockyard.building.inputs.rego.document import Document
from dockyard.building.inputs.rego.files import PolicyFiles
from dockyard.building.inputs.rego.language.fault import PolicyFaultError, WrongOperandError
from dockyard.building.inputs.rego.language.functions.encodings import read_json
from dockyard.building.inputs.rego.language.functions.operand import text
from dockyard.building.inputs.rego.language.term import Function
from dockyard.building.inputs.rego.language.value import (
    UNDEFINED,
    Maybe,
    MissingError,
    RObject,
    Value,
    equal,
)
from dockyard.cancellation import Cancellation
from dockyard.errors import InputError

_SECONDS = 10.0
_STEPS = 5_000_000
_JSON = 4 << 20
_KEYS = 128 << 10
_SIGNATURES = "signatures of sigstore cannot be verified"
_PGP = "signatures of PGP cannot be verified"
_DIGEST = r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}"

Say = Callable[[str, str, int], None]


class PolicyHost:
    """Watches over one evaluation, and serves the functions that need more than their arguments."""

    def __init__(
        self, document: Document, files: PolicyFiles, cancel: Cancellation, say: Say
    ) -> None:
        """Get ready.

        Args:
            document: What is decided on.
            files: What policies may read.
            cancel: Ends the evaluation.
            say: Takes what is printed.
        """
        self.pins: set[str] = set()
        """The digests that the image shall have."""
        self.say = say
        self._document = document
        self._files = files
        self._cancel = cancel
        self._end = monotonic() + _SECONDS
        self._steps = 0
        self._now = time_ns()
        self._json: dict[str, Value] = {}

    def tick(self) -> None:
        """Count a step.

        Raises:
            PolicyFaultError: There were too many, or it took too long.
            CanceledError: Nobody wants to know any more.
        """
        self._steps += 1
        if self._steps % 16:
            return
        self._cancel.check()
        if self._steps > _STEPS or monotonic() > self._end:
            raise PolicyFaultError(f"the policy did not decide within {_SECONDS:.0f} seconds")

    def functions(self) -> dict[str, Function]:
        """Give the functions by name."""
        return {
            "time.now_ns": self._time,
            "load_json": self._load_json,
            "pin_image": self._pin_image,
            "verify_git_signature": self._verify_git,
            "verify_http_pgp_signature": self._verify_http,
            "artifact_attestation": self._artifact_attestation,
            "github_attestation": self._github_attestation,
            "github_release_attestation": self._release_attestation,
            "docker_github_builder": self._builder,
            "docker_github_builder_tag": self._builder_tag,
            "docker_github_builder_signature": self._builder_signature,
            "docker_github_builder_bundle": self._builder_bundle,
        }

    def _part(self, name: str) -> RObject | None:
        found = self._document.source.get(name)
        return found if isinstance(found, RObject) else None

    def _time(self) -> Maybe:
        return self._now

    def _load_json(self, name: Value) -> Maybe:
        path = text(name)
        if path not in self._json:
            data = self._read(path, _JSON)
            self._json[path] = read_json(data.decode("utf-8", "replace"))
        return self._json[path]

    def _read(self, path: str, limit: int) -> bytes:
        try:
            return self._files.read(path, limit)
        except InputError as error:
            self.say(str(error), "", 0)
            raise WrongOperandError from error

    def _pin_image(self, image: Value, digest: Value) -> Maybe:
        import re

        own = self._part("image")
        if own is None:
            return False
        if image is not own and not (isinstance(image, RObject) and equal(image, own)):
            raise WrongOperandError
        if not re.fullmatch(_DIGEST, text(digest)):
            raise WrongOperandError
        try:
            known = own.get("checksum")
        except MissingError:
            known = UNDEFINED
        if known != digest:
            self.pins.add(text(digest))
        return True

    # --- signatures -------------------------------------------------------------------------

    def _verify_git(self, value: Value, key: Value) -> Maybe:
        git = self._part("git")
        if git is None:
            return False
        git.get("commit")  # asks for it
        found = next((raw for seen, raw in self._document.objects if equal(seen, value)), None)
        if found is None:
            raise WrongOperandError
        from dockyard.building.inputs.rego.git_signature import (
            SignatureFaultError,
            is_pgp,
            verify,
        )

        if is_pgp(found.signature):
            raise PolicyFaultError(f"verify_git_signature cannot be used here: {_PGP}")
        try:
            verify(found.signature, found.signed, self._read(text(key), _KEYS))
        except SignatureFaultError as error:
            self.say(f"verify_git_signature: {error}", "", 0)
            raise WrongOperandError from error
        except ImportError as error:
            raise PolicyFaultError(
                "verify_git_signature needs cryptography: pip install 'dockyard[ssh-keys]'"
            ) from error
        return True

    def _verify_http(self, _http: Value, _signature: Value, _key: Value) -> Maybe:
        if self._part("http") is None:
            return False
        raise PolicyFaultError(f"verify_http_pgp_signature cannot be used here: {_PGP}")

    def _artifact_attestation(self, _http: Value, _path: Value) -> Maybe:
        return self._of_http("artifact_attestation")

    def _github_attestation(self, _http: Value, _repository: Value) -> Maybe:
        return self._of_http("github_attestation")

    def _release_attestation(self, _http: Value) -> Maybe:
        return self._of_http("github_release_attestation")

    def _builder_bundle(self, _http: Value, _path: Value, _repository: Value) -> Maybe:
        return self._of_http("docker_github_builder_bundle")

    def _of_http(self, name: str) -> Maybe:
        if self._part("http") is None:
            return UNDEFINED
        raise PolicyFaultError(f"{name} cannot be used here: {_SIGNATURES}")

    def _builder(self, image: Value, _repository: Value) -> Maybe:
        if isinstance(image, RObject):
            image.get("signatures")  # ends the build if there are any
        return UNDEFINED

    def _builder_tag(self, image: Value, repository: Value, _tag: Value) -> Maybe:
        return self._builder(image, repository)

    def _builder_signature(self, _signature: Value, _repository: Value) -> Maybe:
        raise PolicyFaultError(
            f"docker_github_builder_signature cannot be used here: {_SIGNATURES}"
        )
