"""What types cannot say: names, references, cycles, impossible requests. Every problem has its place and its remedy."""

from datetime import timedelta
from decimal import Decimal

import pytest

from fasttrack.domain.pipeline import (
    Alternative,
    ClusterMode,
    Collision,
    Concurrency,
    Mount,
    Param,
    Resources,
    RetryPolicy,
    RunIf,
    Timeouts,
)
from fasttrack.domain.states import FailureClass
from fasttrack.errors import InvalidPipeline, Problem, Severity
from fasttrack.spec import compile_document, document_from_json, load, load_pipeline

from .files import example, one_task

GIB = 1024**3


def errors(text: str) -> list[Problem]:
    with pytest.raises(InvalidPipeline) as caught:
        load_pipeline(text)
    return [problem for problem in caught.value.problems if problem.severity is Severity.ERROR]


def error(text: str) -> Problem:
    (problem,) = errors(text)
    return problem


def chain(*tasks: str) -> str:
    """Tasks written as `name<need,need`."""
    lines = ["name: p", "tasks:"]
    for task in tasks:
        name, _, needs = task.partition("<")
        lines.append(f"- {{name: {name}, command: ls, environment: {{image: i}}, dependencies: [{needs}]}}")
    return "\n".join(lines) + "\n"


def test_a_whole_file_becomes_the_values_it_means():
    _, pipeline, _ = load_pipeline(example("additions"))
    assert (pipeline.name, pipeline.priority, pipeline.secrets) == ("additions", 10, {"HUB_TOKEN"})
    assert pipeline.concurrency == Concurrency(2, Collision.CANCEL_OLDER)
    assert pipeline.params == (
        Param("lr", "number", 0.1, "Learning rate"),
        Param("epochs", "integer", 3),
        Param("variant", "string", "small", "", ("small", "large")),
        Param("dry_run", "boolean", False),
    )
    train, report = pipeline.tasks
    assert train.envs == {"TOKEN": "${{ secrets.HUB_TOKEN }}", "VARIANT": "model-${{ params.variant }}"}
    assert train.resources == Resources({"cpu": Decimal(8), "mem": Decimal(32 * GIB)}, 64 * 1024**2)
    base = {"cpu": Decimal(8), "mem": Decimal(32 * GIB)}
    assert train.any_of == (
        Alternative({**base, "cuda.shares": Decimal(2)}, None, {}, timedelta(minutes=10)),
        Alternative(
            {**base, "rngd.device": Decimal(1)}, "cr.example.com/train-rngd:${{ params.variant }}", {"BACKEND": "rngd"}
        ),
    )
    assert train.retry == RetryPolicy(
        3,
        timedelta(seconds=30),
        2.0,
        timedelta(minutes=10),
        frozenset({FailureClass.USER, FailureClass.OUT_OF_MEMORY}),
    )
    assert train.timeouts == Timeouts(timedelta(minutes=90), timedelta(days=1))
    assert (report.index, report.needs, report.run_if, report.image) == (
        1, (0,), RunIf.ALWAYS, "cr.example.com/tools:1.10")  # fmt: skip
    assert report.retry == RetryPolicy()


def test_cluster_and_mounts_are_read():
    _, pipeline, _ = load_pipeline(example("generation-25.6"))
    task = pipeline.by_name["tune-multi"]
    assert (task.cluster_mode, task.cluster_size) == (ClusterMode.MULTI_NODE, 2)
    assert task.mounts == (Mount("my-examples", "examples"),)
    assert task.resources == Resources(
        {"cpu": Decimal(4), "mem": Decimal(16 * GIB), "cuda.shares": Decimal("1.5")}, 2 * GIB
    )


def test_the_variables_of_a_task_come_over_those_of_the_pipeline():
    _, pipeline, _ = load_pipeline(
        "name: p\nenvironment: {envs: {A: common, B: common}}\n"
        "tasks: [{name: a, command: ls, environment: {image: i, envs: {B: own}}}]\n"
    )
    assert pipeline.tasks[0].envs == {"A": "common", "B": "own"}


def test_the_order_of_dependencies_is_the_order_of_the_file():
    _, pipeline, _ = load_pipeline(chain("c<b,a", "a", "b"))
    assert pipeline.by_name["c"].needs == (2, 1)


def test_a_cycle_is_named_by_its_path():
    problem = error(chain("a<c", "b<a", "c<b"))
    assert problem.message == "These tasks wait for each other: a → b → c → a. Remove one of the dependencies."
    assert (problem.path, problem.line) == ("tasks[0].dependencies", 3)


def test_two_separate_cycles_are_two_problems():
    assert [p.message.split(": ")[1].split(".")[0] for p in errors(chain("a<b", "b<a", "c<d", "d<c"))] == [
        "a → b → a",
        "c → d → c",
    ]


def test_a_long_cycle_is_shortened_in_the_middle():
    tasks = [f"t{i}<t{(i - 1) % 3000}" for i in range(3000)]
    message = error(chain(*tasks)).message
    assert message.startswith("These tasks wait for each other: t0 → t1 → t2 → ")
    assert " → … → " in message
    assert len(message) < 250


def test_a_task_cannot_wait_for_itself():
    assert error(chain("a<a")).message == "`a` cannot wait for itself: a → a. Remove the entry."


def test_an_unknown_dependency_suggests_a_near_name():
    problem = error(chain("download", "train<donwload"))
    assert problem.message == "There is no task `donwload`. Did you mean `download`? Name a task of this file."
    assert problem.path == "tasks[1].dependencies[0]"
    assert (problem.line, problem.column) == (4, 70)


def test_names_are_unique():
    assert error(chain("a", "a")).message == "`a` is the name of task 1 already. Give every task a name of its own."


def test_a_dependency_stands_once():
    assert error(chain("a", "b<a,a")).message == "`a` stands here twice. Remove one."


@pytest.mark.parametrize(
    ("more", "path", "message"),
    [
        ("resources: {cpu: 0}", "resources.cpu", "A container needs at least one core. Write `cpu: 1` or more."),
        ("resources: {cpu: -1}", "resources.cpu", "-1 is negative. Ask for 0 or more of `cpu`."),
        (
            "resources: {cpu: 0.5}",
            "resources.cpu",
            "0.5 of `cpu` is not possible: it is counted in whole units. Write 1.",
        ),
        ("resources: {cpu: lots}", "resources.cpu", "'lots' is not an amount of `cpu`. Write a number, such as 1."),
        (
            "resources: {mem: 4q}",
            "resources.mem",
            "'4q' is not a size. Write a number and a unit, such as 512m or 16g.",
        ),
        (
            "resources: {mem: 4}",
            "resources.mem",
            "`mem: 4` means 4 bytes, too little for any container. Write a unit, such as 4g.",
        ),
        (
            "resources: {mem: 1g}\nresource_opts: {shmem: 2g}",
            "resource_opts.shmem",
            "Shared memory is part of `mem`, and 2g of shared memory leave nothing of `mem: 1g`. Ask for more `mem` or "
            "less `shmem`.",
        ),
        (
            "resources: {cuda.device: 0.5}",
            "resources.cuda.device",
            "0.5 of `cuda.device` is not possible: it is counted in whole units. Write 1, or ask for part of a device with "
            "`cuda.shares`.",
        ),
        (
            "resources: {cuda.device: 1, cuda.shares: 1}",
            "resources.cuda.shares",
            "`cuda.device` and `cuda.shares` cannot be asked for together: a cluster counts its GPUs in one way. Keep one.",
        ),
        (
            "resources: {cuda: {device: 1}}",
            "resources.cuda",
            "A map is not an amount of `cuda`. A slot's name holds its dot: write `cuda.device: 1`.",
        ),
        (
            "resources: {cuda.shares: 1}\nany_of: [{resources: {cuda.shares: 1}}]",
            "resources.cuda.shares",
            "`any_of` lists the accelerators to choose from, so `cuda.shares` cannot stand here too. Make it the first entry "
            "of `any_of`.",
        ),
        (
            "resource_opts: {shmem: 1g}\nany_of: [{resources: {mem: 512m, tpu.device: 1}}]",
            "any_of[0].resources.mem",
            "This leaves nothing beside the task's `shmem`, which is part of `mem`. Ask for more.",
        ),
        ("cluster_size: 0", "cluster_size", "0 is out of range: `cluster_size` is from 1 to 1,024."),
        (
            "cluster_mode: many",
            "cluster_mode",
            "'many' is not known here. Legal are: single-node, multi-node.",
        ),
        ("retry: {delay: 25h}", "retry.delay", "90000 is out of range: `delay` in seconds is from 0 to 86,400."),
        ("retry: {max_attempts: 0}", "retry.max_attempts", "0 is out of range: `max_attempts` is from 1 to 100."),
        ("retry: {backoff: 0.5}", "retry.backoff", "0.5 is out of range: `backoff` is from 1 to 100."),
        (
            "retry: {on: [usr]}",
            "retry.on[0]",
            "'usr' is not known here. Did you mean `user`? Legal are: user, timeout, out_of_memory, infrastructure, quota, "
            "preempted, cancelled, refused.",
        ),
        (
            "run_if: never",
            "run_if",
            "'never' is not known here. Legal are: success, failure, always, any_success.",
        ),
        ("skip: maybe", "skip", "'maybe' is neither true nor false. Write one of these two words."),
        (
            "type: deployment\nservice: {name: a-name-that-is-too-long-for-it}",
            "service.name",
            "The service's name `a-name-that-is-too-long-for-it` has 30 characters; at most 24 are possible. Shorten it.",
        ),
        ("mounts: [/data]", "mounts[0]", "'/data' is a path; the folder of a mount is one name. The folder appears at "
         "/home/work/<alias>, and its subfolders below it."),
        ("mounts: ['data:..']", "mounts[0]", "'..' cannot be the alias of a mount. Give the name of a folder."),
        ("mounts: ['a:b:c']", "mounts[0]", "'a:b:c' has more than one colon. Write `folder` or `folder:alias`."),
        ("mounts: ['a:']", "mounts[0]", "'a:' has no alias after the colon. Write one, or leave the colon out."),
        (
            "mounts: [.local]",
            "mounts[0]",
            "'.local' begins with a dot. Such folders are mounted into every session by themselves: remove the entry, or give "
            "it an alias without the dot.",
        ),
        (
            "mounts: [a, 'b:a']",
            "mounts[1]",
            "'b:a' would appear at /home/work/a, as 'a' does. Give one of them another alias: `folder:alias`.",
        ),
    ],
)  # fmt: skip
def test_an_impossible_request_says_where_and_what_would_be_right(more, path, message):
    problem = error(one_task(more))
    assert (problem.path, problem.message) == (f"tasks[0].{path}", message)
    assert problem.line >= 7


@pytest.mark.parametrize(
    ("envs", "message"),
    [
        ("BACKENDAI_X: 1", "`BACKENDAI_X`: names that begin with `BACKENDAI_` are set by FastTrack. Use another."),
        (
            "FASTTRACK_PARAM_lr: 1",
            "`FASTTRACK_PARAM_lr`: names that begin with `FASTTRACK_PARAM_` are set by FastTrack. Use another.",
        ),
        ("'A=B': 1", "'A=B' cannot name a variable. Use 1 to 255 characters without `=` and spaces."),
        ("'A B': 1", "'A B' cannot name a variable. Use 1 to 255 characters without `=` and spaces."),
        ('"A\\nB": 1', "'A\\nB' cannot name a variable. Use 1 to 255 characters without `=` and spaces."),
        (
            "LD_PRELOAD: x.so",
            "`LD_PRELOAD` would also act on the programs that start the task. Set it inside the command, before the program "
            "that needs it: `LD_PRELOAD=… python train.py`.",
        ),
        (f"A: {'x' * 32769}", "The value of `A` is longer than 32 KiB. Put it in a file in a folder."),
    ],
)
def test_a_variable_that_cannot_be_is_refused(envs, message):
    assert error(one_task(top=f"environment:\n  envs:\n    {envs}")).message == message


@pytest.mark.parametrize("name", ["PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "PIPELINE_VFROOT", "a.b-c", "backendai_x"])
def test_a_variable_that_is_the_users_business_is_taken(name):
    _, pipeline, problems = load_pipeline(one_task(top=f"environment:\n  envs:\n    {name}: x"))
    assert (pipeline.tasks[0].envs, problems) == ({name: "x"}, ())


def test_two_hundred_variables_are_the_limit():
    common = "\n".join(f"    A{i}: x" for i in range(150))
    own = ", ".join(f"B{i}: x" for i in range(50))
    text = (
        f"name: p\nenvironment:\n  envs:\n{common}\ntasks:\n- name: a\n  command: ls\n  environment: {{envs: {{%s}}}}\n"
    )
    assert len(load_pipeline(text % own)[1].tasks[0].envs) == 200
    problem = error(text % (own + ", C: x"))
    assert problem.message == (
        "A task may have 200 variables, those of the pipeline included; here are 201. Put the rest in a file."
    )


def test_a_batch_task_needs_a_command_and_a_deployment_does_not():
    problem = error("name: p\ntasks: [{name: a, environment: {image: i}}]")
    assert problem.message == (
        "Task `a` has no `command`. Give it the shell lines to run, or make its `type` deployment."
    )
    assert (problem.path, problem.line, problem.column) == ("tasks[0]", 2, 9)
    text = "name: p\ntasks: [{name: a, type: serving, environment: {image: i}, service: {name: s}}]"
    assert load_pipeline(text)[1].tasks[0].service is not None


def test_an_import_needs_an_address():
    problem = error("name: p\ntasks: [{name: a, type: Import from GitHub, environment: {image: i}}]")
    assert problem.message == "Task `a` imports code and has no `module_uri`. Give the repository's address."


def test_a_service_is_named_after_its_task_unless_it_has_a_name():
    text = "name: p\ntasks: [{name: api, type: deployment, environment: {image: i}, service: {model: m}}]"
    service = load_pipeline(text)[1].tasks[0].service
    assert service is not None
    assert (service.name, service.model, service.replicas, service.runtime_variant) == ("api", "m", 1, "custom")


def test_two_services_of_one_resource_group_need_two_names():
    text = (
        "name: p\ntasks:\n- {name: a, type: serving, environment: {image: i}, service: {name: s}}\n"
        "- {name: b, type: serving, environment: {image: i%s}, service: {name: s}}\n"
    )
    assert error(text % "").message == "Task `a` starts a service `s` in the same resource group. Name them apart."
    load_pipeline(text % ", scaling-group: other")


def test_a_pipeline_needs_a_task():
    assert error("name: p\ntasks: []\n").message == "The pipeline has no task. Add at least one under `tasks`."


@pytest.mark.parametrize(
    ("name", "remedy"), [("my task", "`my-task`"), ("a.b", "`a-b`"), ("x" * 65, f"`{'x' * 64}`"), ("é", None)]
)
def test_a_name_that_cannot_be_offers_one_that_can(name, remedy):
    message = error(f"name: p\ntasks: [{{name: {name}, command: ls}}]").message
    assert "cannot name a task. Use 1 to 64 letters of A-Z and a-z, digits, `-` and `_`." in message
    assert message.endswith(f"{remedy} would do." if remedy else "and `_`.")


def test_a_long_pipeline_name_is_a_warning_from_41_and_an_error_from_65():
    text = "name: %s\ntasks: [{name: a, command: ls, environment: {image: i}}]"
    assert load_pipeline(text % ("x" * 40))[2] == ()
    assert [p.message for p in load_pipeline(text % ("x" * 41))[2]] == [
        "The name has 41 characters; FastTrack's own screens take 40."
    ]
    assert "cannot name a pipeline" in error(text % ("x" * 65)).message


def test_the_problems_of_both_stages_come_together_in_file_order():
    text = (
        "nmae: p\nname: p\ntasks:\n- name: a\n  command: ls\n  resources: {cpu: 0, mem: 4q}\n"
        "- name: b\n  command: ''\n  dependencies: [a, c]\n  cluster_size: none\n"
    )
    with pytest.raises(InvalidPipeline) as caught:
        load_pipeline(text)
    assert [(p.path, p.line, p.severity.value) for p in caught.value.problems] == [
        ("nmae", 1, "warning"),
        ("tasks[0]", 4, "warning"),
        ("tasks[0].resources.cpu", 6, "error"),
        ("tasks[0].resources.mem", 6, "error"),
        ("tasks[1].command", 8, "error"),
        ("tasks[1].dependencies[1]", 9, "error"),
        ("tasks[1].cluster_size", 10, "error"),
    ]


def test_one_mistake_is_one_problem():
    text = (
        "name: p\ntasks:\n- {name: my task, command: ls, environment: {image: i}}\n"
        "- {name: b, command: ls, environment: {image: i}, dependencies: [my task]}\n"
    )
    assert [p.path for p in errors(text)] == ["tasks[0].name"]
    text = "name: p\nparams: [{name: a b}]\ntasks:\n- {name: a, command: 'echo ${{ params.ab }}', environment: {image: i}}\n"
    assert [p.path for p in errors(text)] == ["params[0].name"]
    text = "name: p\ntasks:\n- {name: a, type: srving, environment: {image: i}}\n"
    assert [p.path for p in errors(text)] == ["tasks[0].type"]
    text = "name: p\ntasks:\n- {name: a, command: ls, environment: {image: i}, resources: {mem: 64q}, resource_opts: {shmem: 4g}}\n"
    assert [p.path for p in errors(text)] == ["tasks[0].resources.mem"]


def test_a_compiled_document_without_text_has_problems_without_lines():
    document = document_from_json({"name": "p", "tasks": [{"name": "a", "dependencies": ["b"], "command": "ls"}]})
    with pytest.raises(InvalidPipeline) as caught:
        compile_document(document)
    assert [(p.path, p.line) for p in caught.value.problems if p.severity is Severity.ERROR] == [
        ("tasks[0].dependencies[0]", 0)
    ]


def test_a_loaded_document_keeps_its_places_until_it_is_compiled():
    with pytest.raises(InvalidPipeline) as caught:
        compile_document(load(chain("a<x")).document)
    assert caught.value.problems[0].line == 3


@pytest.mark.parametrize("slot", ["cuda.devise", "rocm.devices", "atom-plus.devic", "hyperaccel-lpu.devic"])
def test_a_slot_that_is_nearly_known_is_a_question(slot):
    _, pipeline, problems = load_pipeline(one_task(f"resources: {{{slot}: 1}}"))
    assert pipeline.tasks[0].resources.slots[slot] == 1
    assert len(problems) == 1
    assert "Did you mean" in problems[0].message
    assert (problems[0].line, problems[0].column) == (7, 17)


@pytest.mark.parametrize("slot", ["quantum.qubits", "cuda.mig-1g.10gb", "tt-p150.device", "mock.shares"])
def test_any_other_slot_is_legal_without_a_word(slot):
    assert load_pipeline(one_task(f"resources: {{{slot}: 2}}"))[2] == ()


def test_a_slot_of_zero_is_no_slot():
    assert load(one_task("resources: {cuda.device: 0}")).document == load(one_task()).document


def test_what_is_left_out_has_the_values_of_a_new_task():
    document = load(one_task()).document
    assert document.tasks[0].resources == {"cpu": "1", "mem": "2g"}
    assert document.tasks[0].resource_opts.shmem == "64m"
    assert load(one_task("resources: {mem: 100m}")).document.tasks[0].resource_opts.shmem == "0g"


def test_missing_images_are_one_warning():
    problems = load_pipeline("name: p\ntasks: [{name: a, command: ls}, {name: b, command: ls}]")[2]
    assert [p.message for p in problems] == [
        "Task `a` and 1 more have no `environment.image`: on one machine that is fine, a cluster needs one."
    ]


def test_more_tasks_than_a_file_may_have_are_refused():
    assert error("name: p\ntasks: [" + "{name: a}," * 10_001 + "]").message == (
        "There are 10,001 tasks; a file may have 10,000. Split the pipeline."
    )


def test_a_chain_of_ten_thousand_tasks_is_compiled():
    tasks = [{"name": f"t{i}", "command": "ls", "dependencies": [f"t{i - 1}"] if i else []} for i in range(10_000)]
    pipeline = compile_document(document_from_json({"name": "p", "tasks": tasks}))
    assert pipeline.tasks[9_999].needs == (9_998,)


def test_a_processor_may_be_the_last_choice():
    _, pipeline, problems = load_pipeline(one_task("any_of: [{resources: {tpu.device: 1}}, {resources: {cpu: 32}}]"))
    assert problems == ()
    assert [choice.slots["cpu"] for choice in pipeline.tasks[0].any_of] == [1, 32]
