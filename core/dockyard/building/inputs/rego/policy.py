"""Deciding by policies: each set of files by itself, and all of them have to allow."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dockyard.building.inputs.rego.document import (
    CHAIN,
    CHECKSUM,
    CONFIG,
    GIT,
    MATERIAL,
    OBJECTS,
    SIGNATURES,
    Document,
    make_document,
    with_environment,
)
from dockyard.building.inputs.rego.fields import texts_of
from dockyard.building.inputs.rego.files import PolicyFiles
from dockyard.building.inputs.rego.host import PolicyHost
from dockyard.building.inputs.rego.language.evaluate import Evaluation
from dockyard.building.inputs.rego.language.fault import PolicyFaultError
from dockyard.building.inputs.rego.language.functions.table import FUNCTIONS, arities
from dockyard.building.inputs.rego.language.program import Program, link
from dockyard.building.inputs.rego.language.value import (
    UNDEFINED,
    Maybe,
    MissingError,
    RObject,
    RSet,
    Value,
    text_of,
)
from dockyard.building.inputs.rego.log import PolicyLog
from dockyard.building.inputs.rego.modules import load
from dockyard.building.inputs.rego.option import LEVELS
from dockyard.building.inputs.rego.provenance import TYPES
from dockyard.cancellation import Cancellation
from dockyard.driver import BuildRequest
from dockyard.errors import InputError, PolicyError
from dockyard.platforms import Platform
from dockyard.session.policy import Decision, SourceCheck, Wanted

PROXY = "exec.proxy"
_DECISION = ("docker", "decision")
_HOST_FUNCTIONS = {
    "time.now_ns": 0, "load_json": 1, "pin_image": 2, "verify_git_signature": 2,
    "verify_http_pgp_signature": 3, "artifact_attestation": 2, "github_attestation": 2,
    "github_release_attestation": 1, "docker_github_builder": 2, "docker_github_builder_tag": 3,
    "docker_github_builder_signature": 2, "docker_github_builder_bundle": 3,
}  # fmt: skip
_NEVER = {
    SIGNATURES: "input.image.signatures cannot be used here: signatures of sigstore cannot be "
    "verified",
    MATERIAL: "only the names and digests of an image's materials are known here, nothing else",
}
_INFO, _DEBUG = LEVELS["info"], LEVELS["debug"]
_MESSAGES = 100


class Judgement(NamedTuple):
    """What a policy says."""

    allow: bool
    messages: tuple[str, ...]
    proxy: bool


class Policy:
    """One set of files."""

    def __init__(
        self, sources: Sequence[tuple[str, bytes]], files: PolicyFiles, level: str = "info"
    ) -> None:
        """Read the files.

        Args:
            sources: Their names and contents.
            files: What they may import and read.
            level: How much is told.

        Raises:
            InputError: They cannot be read, or make no sense.
        """
        self._files = files
        self._level = LEVELS[level]
        known = {**arities(FUNCTIONS), **_HOST_FUNCTIONS}
        try:
            self._program: Program = link(load(sources, files), known)
        except PolicyFaultError as error:
            raise InputError(f"failed to load policy: {error}") from error

    def wants_proxy(self, environment: RObject, log: PolicyLog, cancel: Cancellation) -> bool:
        """Ask whether the build shall run behind the daemon's proxy.

        Raises:
            InputError: The policy cannot say.
            CanceledError: ``cancel`` was turned.
        """
        asked = environment.replaced(("capsRequest",), value=True)
        try:
            found, _ = self._evaluate(Document(RObject(), None), asked, log, cancel)
            return _judgement(found).proxy
        except (PolicyFaultError, MissingError) as error:
            raise InputError(f"failed to evaluate policy caps: {error}") from error

    def decide(
        self,
        check: SourceCheck,
        document: Document,
        environment: RObject,
        log: PolicyLog,
        cancel: Cancellation,
    ) -> Decision | Wanted:
        """Decide on a source, or say what has to be known before.

        Raises:
            PolicyFaultError: The policy cannot be evaluated.
            CanceledError: ``cancel`` was turned.
        """
        self._tell(log, _INFO, f"checking policy for source {check}")
        try:
            found, pins = self._evaluate(document, environment, log, cancel)
        except MissingError as error:
            wanted = _wanted(error.needs, check)
            names = ", ".join(sorted(error.needs))
            self._tell(log, _INFO, f"policy decision for source {check}: more is needed: {names}")
            return wanted
        decision = _decision(_judgement(found), pins, check)
        self._tell(log, _INFO, f"policy decision for source {check}: {_shown(decision)}")
        for message in decision.messages:
            self._tell(log, _INFO, f" - {message}")
        return decision

    def _evaluate(
        self, document: Document, environment: RObject, log: PolicyLog, cancel: Cancellation
    ) -> tuple[Maybe, set[str]]:
        def say(text: str, file: str, line: int) -> None:
            self._tell(log, _INFO, f"{file}:{line}: {text}" if file else text)

        host = PolicyHost(document, self._files, cancel, say)
        given = with_environment(document.source, environment)
        if self._level >= _DEBUG:
            self._tell(log, _DEBUG, f"policy input: {_known(given)}")
        functions = {**FUNCTIONS, **host.functions()}
        evaluation = Evaluation(self._program, functions, given, host)
        return evaluation.rule(_DECISION), host.pins

    def _tell(self, log: PolicyLog, level: int, line: str) -> None:
        if level <= self._level:
            log.write(line)


class Policies:
    """All policies of a build."""

    def __init__(
        self,
        policies: Sequence[Policy],
        request: BuildRequest,
        filename: str,
        default: Platform,
        log: PolicyLog,
    ) -> None:
        """Put policies together.

        Args:
            policies: Those that have to allow.
            request: The build.
            filename: The Dockerfile's name.
            default: The platform of images for which the daemon names none.
            log: Shows what happens.
        """
        self._policies = policies
        self._default = default
        self._environment = _environment(request, filename)
        self._log = log

    def wants_proxy(self, cancel: Cancellation) -> bool:
        """Ask all policies whether the build shall run behind the daemon's proxy.

        Raises:
            InputError: One cannot be evaluated.
            CanceledError: ``cancel`` was turned.
        """
        with self._log as log:
            asked = [each.wants_proxy(self._environment, log, cancel) for each in self._policies]
        return any(asked)

    def decide(self, check: SourceCheck, cancel: Cancellation) -> Decision | Wanted:
        """Decide on a source, or say what has to be known before.

        Raises:
            PolicyError: A policy cannot be evaluated.
            CanceledError: ``cancel`` was turned.
        """
        answer: Decision | Wanted = Decision(allow=True)
        with self._log as log:
            try:
                document = make_document(check, self._default)
                for policy in self._policies:
                    answer = policy.decide(check, document, self._environment, log, cancel)
                    if isinstance(answer, Wanted) or not answer.allow or answer.instead:
                        break
            except PolicyFaultError as error:
                raise PolicyError(f"failed to check policy for {check}: {error}") from error
        return answer


# --- what goes in ---------------------------------------------------------------------------


def _environment(request: BuildRequest, filename: str) -> RObject:
    pairs: list[tuple[Value, Value]] = [("filename", filename), ("depth", 0)]
    if request.build_args:
        pairs.append(("args", texts_of(request.build_args)))
    if request.labels:
        pairs.append(("labels", texts_of(request.labels)))
    if request.target:
        pairs.append(("target", request.target))
    return RObject(pairs)


def _known(given: RObject) -> str:
    """Write an input, without what is not known."""
    return text_of(given.only_known())


# --- what comes out -------------------------------------------------------------------------


def _judgement(found: Maybe) -> Judgement:
    """Read what a policy's decision says.

    Raises:
        PolicyFaultError: It makes no sense.
    """
    if found is UNDEFINED:
        raise PolicyFaultError("the rule data.docker.decision has no value")
    if not isinstance(found, RObject):
        raise PolicyFaultError("the rule data.docker.decision gives no object")
    allow = found.get("allow")
    if allow is not UNDEFINED and not isinstance(allow, bool):
        raise PolicyFaultError("allow in data.docker.decision is no boolean")
    said = found.get("deny_msg")
    texts = list(said) if isinstance(said, tuple | RSet) else []
    messages = tuple(text for text in texts if isinstance(text, str))[:_MESSAGES]
    return Judgement(allow is True, messages, _proxy(found.get("caps")))


def _proxy(caps: Maybe) -> bool:
    if caps is UNDEFINED:
        return False
    if not isinstance(caps, RObject):
        raise PolicyFaultError("caps in data.docker.decision is no object")
    for name, value in caps.items():
        if name != PROXY:
            raise PolicyFaultError(f"unknown policy cap {text_of(name)}")
        if not isinstance(value, bool):
            raise PolicyFaultError(f"caps.{PROXY} in data.docker.decision is no boolean")
    return caps.get(PROXY) is True


def _decision(said: Judgement, pins: set[str], check: SourceCheck) -> Decision:
    if not said.allow:
        return Decision(allow=False, messages=said.messages)
    if not pins:
        return Decision(allow=True)
    if len(pins) > 1:
        raise PolicyFaultError(f"more than one digest for one image: {', '.join(sorted(pins))}")
    digest = pins.pop()
    name = re.sub(r"@[^@/]*\Z", "", check.identifier)
    return Decision(
        allow=True,
        instead=f"{name}@{digest}",
        attributes={**check.attributes, "image.checksum": digest},
    )


def _shown(decision: Decision) -> str:
    if not decision.allow:
        return "DENY"
    return f"convert to {decision.instead}" if decision.instead else "ALLOW"


def _wanted(needs: frozenset[str], check: SourceCheck) -> Wanted:
    """Say what the daemon shall find out; what it already did has to be asked for again."""
    for need in sorted(needs):
        if need in _NEVER:
            raise PolicyFaultError(_NEVER[need])
    if needs & {CONFIG, CHAIN}:
        known = check.image or {}
        image: dict[str, object] = {"NoConfig": CONFIG not in needs and not known.get("Config")}
        if CHAIN in needs or known.get("AttestationChain") is not None:
            image |= {"AttestationChain": True, "ResolveAttestations": list(TYPES)}
        return Wanted(image=image)
    if needs & {GIT, OBJECTS}:
        git: Mapping[str, object] = {"ReturnObject": OBJECTS in needs}
        return Wanted(git=git)
    if CHECKSUM not in needs:
        raise ValueError(sorted(needs))
    return Wanted()
