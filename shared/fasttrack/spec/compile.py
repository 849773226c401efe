"""From a `Document` to the `Pipeline` that the engine runs, with everything checked that types cannot say.

Names are unique, references exist, the graph has no cycle, every task can be started. All problems are found in one go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

from ..domain import dag
from ..domain.accelerators import is_accelerator
from ..domain.pipeline import (
    Alternative,
    Concurrency,
    Param,
    Pipeline,
    Resources,
    RetryPolicy,
    Service,
    Task,
    TaskKind,
    Timeouts,
)
from ..errors import InvalidPipeline
from . import checks
from .checks import Params
from .document import Choice, Document, TaskSpec
from .findings import Findings
from .placeholders import secret_names
from .source import Path
from .values import duration

KINDS: Mapping[str, TaskKind] = {
    "custom": TaskKind.BATCH,
    "deployment": TaskKind.SERVICE,
    "Import from GitHub": TaskKind.IMPORT,
    "Import from GitLab": TaskKind.IMPORT,
}
LONGEST_USUAL_NAME = 40
LONGEST_SERVICE_NAME = 24
SERVES_WITHIN = timedelta(minutes=30)
"""A service that does not serve by then has failed, unless its `timeouts.running` says otherwise."""
_SERVICE_NAME = re.compile(r"\w[\w-]{2,22}\w", re.ASCII)
_MOST_IN_A_SENTENCE = 8


def compile_document(document: Document) -> Pipeline:
    """What the document means: an acyclic graph of tasks with every default filled in.

    :raises InvalidPipeline: with all errors in file order, with lines where the document came from text.
    """
    findings = Findings(document.places)
    pipeline = compile_into(document, findings)
    if pipeline is None:
        raise InvalidPipeline(findings.in_file_order())
    return pipeline


def compile_into(document: Document, findings: Findings, set_aside: frozenset[Path] = frozenset()) -> Pipeline | None:
    """The same, adding to findings that exist already; `None` when any of them is an error.

    `set_aside` are the parts that were wrong already and were replaced; nothing is said about them again.
    """
    found = Findings(findings.places)
    pipeline = _Compiler(document, found).pipeline()
    findings.take(found, unless=lambda path, refers_to: _is_echo(path, refers_to, set_aside))
    return None if findings.has_errors else pipeline


def _is_echo(path: Path, refers_to: str, set_aside: frozenset[Path]) -> bool:
    """Whether what is said about `path` may only follow from something that was set aside."""
    for wrong in set_aside:
        if path[: len(wrong)] == wrong:
            return True
        if refers_to == wrong[0] and (len(wrong) <= 2 or wrong[2] == "name"):
            return True
        if wrong[0] == "tasks" and len(wrong) > 2 and path[:2] == wrong[:2]:
            if refers_to == "type" and wrong[2] in ("type", "command", "module_uri", "service"):
                return True
            if wrong[2] == "resources" and path[2:3] == ("resource_opts",):
                return True
    return False


class _Compiler:
    def __init__(self, document: Document, findings: Findings) -> None:
        self.document = document
        self.findings = findings
        self.params: Params = {param.name: param.type for param in document.params}
        self.index: dict[str, int] = {}
        self.services: dict[tuple[str, str], str] = {}

    def pipeline(self) -> Pipeline | None:
        """The whole pipeline; `None` when there were errors."""
        document, findings = self.document, self.findings
        self._check_top()
        params = self._read_params()
        for index, spec in enumerate(document.tasks):
            if spec.name in self.index:
                first = self.index[spec.name] + 1
                findings.error(
                    ("tasks", index, "name"),
                    f"`{spec.name}` is the name of task {first} already. Give every task a name of its own.",
                )
            else:
                self.index[spec.name] = index
        needs = [self._read_needs(index, spec) for index, spec in enumerate(document.tasks)]
        self._check_cycles(needs)
        self._check_images()
        tasks = tuple(self._task(index, spec, needs[index]) for index, spec in enumerate(document.tasks))
        if findings.has_errors:
            return None
        limits = document.concurrency
        return Pipeline(
            name=document.name,
            description=document.description,
            tasks=tasks,
            params=params,
            concurrency=Concurrency(limits.limit, limits.on_limit),
            priority=document.priority,
            secrets=frozenset(name for task in tasks for name in secret_names(task)),
        )

    def _check_top(self) -> None:
        document, findings = self.document, self.findings
        checks.check_nowhere(document.name, ("name",), findings)
        if len(document.name) > LONGEST_USUAL_NAME:
            findings.warn(("name",), f"The name has {len(document.name)} characters; FastTrack's own screens take 40.")
        if not document.tasks:
            findings.error(("tasks",), "The pipeline has no task. Add at least one under `tasks`.")
        checks.check_envs(document.environment.envs, ("environment", "envs"), self.params, findings)

    def _read_params(self) -> tuple[Param, ...]:
        seen: set[str] = set()
        params: list[Param] = []
        for index, spec in enumerate(self.document.params):
            at: Path = ("params", index)
            if spec.name in seen:
                self.findings.error((*at, "name"), f"There is a parameter `{spec.name}` already. Name each only once.")
            seen.add(spec.name)
            if spec.choices and spec.default is not None and spec.default not in spec.choices:
                legal = ", ".join(map(str, spec.choices[:_MOST_IN_A_SENTENCE]))
                self.findings.error(
                    (*at, "default"),
                    f"The default of `{spec.name}` is none of its choices: {legal}. Choose one of them.",
                )
            params.append(Param(spec.name, spec.type, spec.default, spec.description, tuple(spec.choices)))
        return tuple(params)

    def _read_needs(self, index: int, spec: TaskSpec) -> tuple[int, ...]:
        needs: list[int] = []
        for position, name in enumerate(spec.dependencies):
            at: Path = ("tasks", index, "dependencies", position)
            other = self.index.get(name)
            if "${{" in name:
                checks.check_nowhere(name, at, self.findings)
            elif other is None:
                hint = self.findings.did_you_mean(name, self.index)
                self.findings.error(
                    at, f"There is no task `{name[:80]}`.{hint} Name a task of this file.", refers_to="tasks"
                )
            elif other == index:
                self.findings.error(at, f"`{name}` cannot wait for itself: {name} → {name}. Remove the entry.")
            elif other in needs:
                self.findings.error(at, f"`{name}` stands here twice. Remove one.")
            else:
                needs.append(other)
        return tuple(needs)

    def _check_cycles(self, needs: list[tuple[int, ...]]) -> None:
        for cycle in dag.find_cycles(needs):
            names = [self.document.tasks[index].name for index in cycle]
            if len(names) > 2 * _MOST_IN_A_SENTENCE:
                names = [*names[:_MOST_IN_A_SENTENCE], "…", *names[-_MOST_IN_A_SENTENCE:]]
            self.findings.error(
                ("tasks", cycle[0], "dependencies"),
                f"These tasks wait for each other: {' → '.join(names)}. Remove one of the dependencies.",
            )

    def _check_images(self) -> None:
        bare = [
            index
            for index, spec in enumerate(self.document.tasks)
            if not spec.environment.image and not (spec.any_of and all(choice.image for choice in spec.any_of))
        ]
        if bare:
            first = self.document.tasks[bare[0]].name
            others = f" and {len(bare) - 1} more have" if len(bare) > 1 else " has"
            self.findings.warn(
                ("tasks", bare[0]),
                f"Task `{first}`{others} no `environment.image`: on one machine that is fine, a cluster needs one.",
            )

    def _task(self, index: int, spec: TaskSpec, needs: tuple[int, ...]) -> Task:
        findings, at = self.findings, ("tasks", index)
        environment = spec.environment
        kind = KINDS[spec.type]
        self._check_kind(spec, kind, at)
        checks.check_nowhere(environment.project, (*at, "environment", "project"), findings)
        checks.check_text(environment.image, (*at, "environment", "image"), self.params, findings)
        checks.check_text(environment.scaling_group, (*at, "environment", "scaling-group"), self.params, findings)
        checks.check_command(spec.command, (*at, "command"), self.params, findings)
        slots = checks.read_slots(spec.resources, (*at, "resources"), findings)
        shmem = checks.check_shared_memory(spec, slots["mem"], at, findings)
        checks.check_choices(spec, at, findings)
        return Task(
            index=index,
            name=spec.name,
            kind=kind,
            description=spec.description,
            command=spec.command,
            module_uri=spec.module_uri,
            image=environment.image,
            project=environment.project,
            resource_group=environment.scaling_group,
            cluster_mode=spec.cluster_mode,
            cluster_size=spec.cluster_size,
            envs=self._envs(environment.envs, (*at, "environment", "envs")),
            resources=Resources(slots, shmem),
            any_of=tuple(
                self._alternative(choice, slots, shmem, (*at, "any_of", position))
                for position, choice in enumerate(spec.any_of)
            ),
            mounts=checks.read_mounts(spec.mounts, (*at, "mounts"), self.params, findings),
            needs=needs,
            run_if=spec.run_if,
            skip=spec.skip,
            continue_on_failure=spec.continue_on_failure,
            retry=_retry_policy(spec),
            timeouts=_timeouts(spec, kind),
            service=self._service(spec, at) if kind is TaskKind.SERVICE else None,
            pool=spec.pool,
            pool_slots=spec.pool_slots if spec.pool is not None else 0,
        )

    def _check_kind(self, spec: TaskSpec, kind: TaskKind, at: Path) -> None:
        findings = self.findings
        if "\0" in spec.command:
            findings.error((*at, "command"), "The command holds the character NUL. Remove it.")
        if kind is TaskKind.BATCH and not spec.command.strip():
            findings.error(
                (*at, "command") if (*at, "command") in findings.places else at,
                f"Task `{spec.name}` has no `command`. Give it the shell lines to run, or make its `type` deployment.",
                refers_to="type",
            )
        checks.check_module_uri(spec, at, findings, is_import=kind is TaskKind.IMPORT)
        if kind is not TaskKind.SERVICE and spec.service is not None:
            findings.warn(
                (*at, "service"),
                "Only tasks of type deployment start a service; this block has no effect.",
                at_key=True,
            )

    def _envs(self, own: Mapping[str, str], path: Path) -> Mapping[str, str]:
        common = self.document.environment.envs
        checks.check_envs(own, path, self.params, self.findings)
        merged = {**common, **own} if own else common
        if len(merged) > checks.MAX_VARIABLES:
            self.findings.error(
                path if own else ("environment", "envs"),
                f"A task may have {checks.MAX_VARIABLES} variables, those of the pipeline included; here are "
                f"{len(merged)}. Put the rest in a file.",
            )
        return merged

    def _alternative(self, choice: Choice, base: Mapping[str, Decimal], shmem: int, at: Path) -> Alternative:
        findings = self.findings
        own = checks.read_slots(choice.resources, (*at, "resources"), findings)
        slots = {slot: amount for slot, amount in base.items() if not is_accelerator(slot)}
        slots |= {slot: amount for slot, amount in own.items() if amount or not is_accelerator(slot)}
        if "mem" in own and own["mem"] <= shmem:
            findings.error(
                (*at, "resources", "mem"),
                "This leaves nothing beside the task's `shmem`, which is part of `mem`. Ask for more.",
            )
        if choice.image is not None:
            checks.check_text(choice.image, (*at, "image"), self.params, findings)
        checks.check_envs(choice.envs, (*at, "envs"), self.params, findings)
        return Alternative(slots, choice.image, choice.envs, duration(choice.patience))

    def _service(self, spec: TaskSpec, at: Path) -> Service | None:
        service = spec.service
        if service is None:
            self.findings.error(
                at,
                f"Task `{spec.name}` is a deployment without a `service` block. Add one with at least a `name`.",
                refers_to="type",
            )
            return None
        at = (*at, "service")
        name = service.name or spec.name
        fields = ("name", "model", "model_mount_destination", "model_definition_path", "runtime_variant")
        checks.check_plain_texts(service, fields, at, self.findings)
        if len(name) > LONGEST_SERVICE_NAME:
            self.findings.error(
                (*at, "name"),
                f"The service's name `{name[:80]}` has {len(name)} characters; at most {LONGEST_SERVICE_NAME} are "
                "possible. Shorten it.",
            )
        elif _SERVICE_NAME.fullmatch(name) is None:
            self.findings.warn(
                (*at, "name") if service.name else at,
                f"No cluster takes the service's name `{name}`: it needs 4 to {LONGEST_SERVICE_NAME} letters, digits, `-` "
                "and `_`, and begins and ends with a letter, a digit or `_`.",
            )
        taken = self.services.setdefault((spec.environment.scaling_group, name), spec.name)
        if taken != spec.name:
            self.findings.error(
                (*at, "name"),
                f"Task `{taken}` starts a service `{name[:80]}` in the same resource group. Name them apart.",
            )
        if service.model_definition_path.startswith("/"):
            self.findings.warn(
                (*at, "model_definition_path"),
                "An absolute path is not found: it is taken relative to the model folder. Write it without the first `/`.",
            )
        return Service(
            name=name,
            model=service.model,
            model_mount_destination=service.model_mount_destination,
            model_definition_path=service.model_definition_path,
            runtime_variant=service.runtime_variant,
            replicas=service.replicas,
            open_to_public=service.open_to_public,
            ephemeral=service.ephemeral,
            max_surge=service.max_surge,
            max_unavailable=service.max_unavailable,
        )


def _timeouts(spec: TaskSpec, kind: TaskKind) -> Timeouts:
    running = duration(spec.timeouts.running)
    if running is None and kind is TaskKind.SERVICE:
        running = SERVES_WITHIN
    return Timeouts(duration(spec.timeouts.waiting), running)


def _retry_policy(spec: TaskSpec) -> RetryPolicy:
    retry = spec.retry
    return RetryPolicy(
        max_attempts=retry.max_attempts,
        delay=timedelta(seconds=retry.delay),
        backoff=float(retry.backoff),
        max_delay=duration(retry.max_delay),
        on=frozenset(retry.on),
    )
