"""Task plugins in flows of the real Prefect 3: one script runs them, asks Prefect's API, and writes what it found."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import clean_environment
from tests.environments import PREFECT_3, python_with

pytestmark = pytest.mark.own_environment

PLUGIN = '''\
from __future__ import annotations

import logging
from typing import Any

import structlog

from dioptra import pyplugs

LOGGER = structlog.stdlib.get_logger()
tried: list[int] = []


@pyplugs.register
def measure(size: list[int], seed: int = 0) -> tuple[int, int]:
    """Return the number of pixels, and that of channels.

    More of it.
    """
    LOGGER.info("measured", size=size)
    return size[0] * size[1], size[2]


@pyplugs.register
def total(numbers: Any) -> Any:
    """Add up."""
    logging.getLogger("my_plugins.deeper").info("adding %s", "up")
    logging.getLogger("dioptra_builtins.any").info("of the builtins")
    return sum(numbers)


@pyplugs.register
def choose(table: Any, key: Any) -> Any:
    return table[key]


@pyplugs.register
def fail(upstream: Any = None) -> None:
    raise ValueError("as asked")


@pyplugs.register
def third_time() -> int:
    tried.append(1)
    if len(tried) < 3:
        raise ValueError("once more")
    return len(tried)


@pyplugs.register
def nested(number: int) -> Any:
    """Submit another, from within a task."""
    return pyplugs.call_task("my_plugins", "steps", "total", numbers=[number, 1]).result()


@pyplugs.register
def reserved(wait_for: int) -> None: ...


@pyplugs.register
def starred(*values: int) -> None: ...


@pyplugs.register
def anything(**values: int) -> None: ...
'''

SCRIPT = """\
import asyncio
import contextvars
import json
import logging
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import dioptra
from dioptra import pyplugs
from dioptra.sdk.utilities.logging import configure_structlog

import prefect
from prefect import flow, get_client
from prefect.futures import PrefectFuture, wait

warnings.simplefilter("error", UserWarning)
configure_structlog()
call = pyplugs.call_task_factory("my_plugins")
answers = {}


def refusal(function, *args, **kwargs):
    try:
        return f"none: {function(*args, **kwargs)!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@flow
def good():
    pixels, channels = call("steps", "measure", [4, 5, 3])
    first = call("steps", "total", numbers=[pixels, channels])
    options = {"name": "last", "tags": ["late"], "nout": 1}
    last = call("steps", "choose", {"a": [first]}, key="a", upstream_tasks=channels, task_args=options)
    (only,) = last
    answers["good"] = [isinstance(last, PrefectFuture), type(last).__name__, only.result()]
    kept.append(last)


@flow
async def asynchronous():
    return call("steps", "total", numbers=[call("steps", "measure", [2, 2, 1])[0], 1]).result()


@flow
def failing():
    failed = call("steps", "fail")
    after = call("steps", "total", numbers=[failed])
    waiting = call("steps", "measure", [1, 1, 1], upstream_tasks=[failed])
    wait([after, waiting])
    return failed.result()


@flow
def retried():
    options = dict(max_retries=3, retry_delay=timedelta(milliseconds=1), tags=["tried"])
    answers["third time"] = call("steps", "third_time", task_args=options).result()
    wait([call("steps", "fail", task_args=options | {"retry_on": KeyError, "name": "other"})])


@flow
def deeper():
    return call("steps", "nested", number=4).result()


@flow
def threaded():
    with ThreadPoolExecutor() as threads:
        return threads.submit(contextvars.copy_context().run, call, "steps", "total", numbers=[1, 6]).result().result()


@flow
def refusing():
    with dioptra.Flow("ours") as ours:
        task = call("steps", "total", numbers=[1])
        answers["of ours"] = isinstance(task, dioptra.flow.Task)
    future = call("steps", "total", numbers=[2, 3])
    with ours:
        answers["in ours"] = refusal(call, "steps", "total", numbers=[future])
    answers["refused"] = {
        "arguments": refusal(call, "steps", "measure", sise=1),
        "flow": refusal(call, "steps", "total", numbers=[], flow=refusing),
        "mapped": refusal(call, "steps", "total", numbers=[], mapped=True),
        "task": refusal(call, "steps", "total", numbers={"in": [(task,)]}),
        "upstream": refusal(call, "steps", "total", numbers=[], upstream_tasks=[task]),
        "no list": refusal(call, "steps", "total", numbers=[], upstream_tasks=5),
        "no dictionary": refusal(call, "steps", "total", numbers=[], task_args=3),
        "unpacked": refusal(lambda: tuple(future)),
        "reserved": refusal(call, "steps", "reserved", 1),
        "starred": refusal(call, "steps", "starred", 1),
        "anything": refusal(call, "steps", "anything", return_state=1),
        "trigger": refusal(call, "steps", "total", numbers=[], task_args={"trigger": dioptra.flow.triggers.all_failed}),
    }
    with ThreadPoolExecutor() as threads:
        answers["in a thread"] = threads.submit(refusal, call, "steps", "total", numbers=[future]).result()
    answers["our task in theirs"] = refusal(call, "steps", "total", numbers=[], flow=ours).startswith("none: <Task")
    answers["ours ran"] = ours.run().result[task].result
    made = pyplugs.get_task("my_plugins", "steps", "measure")
    answers["get_task"] = [isinstance(made, prefect.Task), made.name, made.description, made([1, 2, 3])]


def report(client):
    '''Return what Prefect knows of the runs: for each flow its state, its tasks and what was logged.'''
    found, names = {}, {}
    runs = client.read_task_runs(sort="END_TIME_DESC", limit=200)
    logs = client.read_logs(limit=200, offset=0)
    for run in runs:
        names[run.id] = run.name.rpartition("-")[0]
    for each in client.read_flow_runs(sort="END_TIME_DESC", limit=200, offset=0):
        mine = [run for run in runs if run.flow_run_id == each.id]
        found[client.read_flow(each.flow_id).name] = {
            "state": each.state_name,
            "tasks": {
                names[run.id]: {
                    "state": run.state_name,
                    "tags": run.tags,
                    "runs": run.run_count,
                    "inputs": {key: sorted(names[each.id] for each in value) for key, value in run.task_inputs.items()},
                }
                for run in mine
            },
            "logs": [
                [names.get(log.task_run_id), log.name, log.level, log.message]
                for log in logs
                if log.flow_run_id == each.id and not log.name.startswith("prefect")
            ],
        }
    return found


kept = []
answers["before"] = refusal(call, "steps", "total", numbers=[])
good()
answers["asynchronous"] = asyncio.run(asynchronous())
answers["failing"] = refusal(failing)
retried()
answers["deeper"] = deeper()
answers["threaded"] = threaded()
refusing()
answers["after"] = refusal(call, "steps", "total", numbers=[]), refusal(lambda: kept[0][0])
answers["get_task outside"] = isinstance(pyplugs.get_task("my_plugins", "steps", "measure"), dioptra.flow.Task)
logging.getLogger("my_plugins").warning("outside of any run")

over = {"Completed", "Failed", "NotReady"}
with get_client(sync_client=True) as client:
    for _ in range(50):
        answers["flows"] = report(client)
        tasks = [task for each in answers["flows"].values() for task in each["tasks"].values()]
        if len(tasks) == 19 and {task["state"] for task in tasks} <= over and answers["flows"]["refusing"]["logs"]:
            break
        time.sleep(0.2)
Path("answers.json").write_text(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("prefect3")
    (folder / "my_plugins").mkdir()
    (folder / "my_plugins" / "steps.py").write_text(PLUGIN)
    (folder / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [python_with(PREFECT_3, beside=True), "script.py"],
        cwd=folder,
        env=quiet(folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "answers.json").read_text()) | {"said": done.stderr}


def quiet(folder: Path) -> dict[str, str]:
    """Return an environment in which Prefect keeps to a folder, and tells nobody."""
    kept = {name: value for name, value in clean_environment().items() if not name.startswith("PREFECT")}
    home = str(folder / "prefect")
    return kept | {"PREFECT_HOME": home, "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


def inputs(tasks: Any) -> dict[str, dict[str, list[str]]]:
    """Return which tasks each waits for, by argument."""
    return {name: {key: value for key, value in task["inputs"].items() if value} for name, task in tasks.items()}


def states(flow: Any) -> dict[str, str]:
    return {name: task["state"] for name, task in flow["tasks"].items()}


def test_a_call_is_a_task_of_prefect(answers: Any) -> None:
    flow = answers["flows"]["good"]

    assert answers["good"] == [True, "PrefectConcurrentFuture", 23]
    assert flow["state"] == "Completed"
    assert states(flow) == dict.fromkeys(
        ["measure", "measure[0]", "measure[1]", "total", "last", "last[0]"], "Completed"
    )
    assert inputs(flow["tasks"]) == {
        "measure": {},
        "measure[0]": {"results": ["measure"]},
        "measure[1]": {"results": ["measure"]},
        "total": {"numbers": ["measure[0]", "measure[1]"]},
        "last": {"table": ["total"], "wait_for": ["measure[1]"]},
        "last[0]": {"results": ["last"]},
    }
    assert flow["tasks"]["last"]["tags"] == ["late"]


def test_an_asynchronous_flow_and_a_task_that_submits_another(answers: Any) -> None:
    assert (answers["asynchronous"], answers["deeper"]) == (5, 5)
    assert inputs(answers["flows"]["deeper"]["tasks"]) == {"nested": {}, "total": {"__parents__": ["nested"]}}


def test_a_thread_of_the_flow(answers: Any) -> None:
    assert answers["in a thread"] == answers["before"]
    assert answers["threaded"] == 7
    assert states(answers["flows"]["threaded"]) == {"total": "Completed"}


def test_what_plugins_log_is_seen_in_prefect_once(answers: Any) -> None:
    assert answers["flows"]["good"]["logs"] == [
        ["measure", "my_plugins.steps", 20, "measured size=[4, 5, 3]"],
        ["total", "my_plugins.deeper", 20, "adding up"],
        ["total", "dioptra_builtins.any", 20, "of the builtins"],
    ]
    assert answers["said"].count("my_plugins.steps - {'size': [4, 5, 3], 'event': 'measured'") == 1
    assert answers["said"].count("outside of any run") == 1
    assert [None, "dioptra.flow", 20, "flow 'ours' starts with 2 tasks"] in answers["flows"]["refusing"]["logs"]


def test_what_comes_after_a_failure_is_not_run(answers: Any) -> None:
    flow = answers["flows"]["failing"]

    assert (answers["failing"], flow["state"]) == ("ValueError: as asked", "Failed")
    assert states(flow) == {"fail": "Failed", "total": "NotReady", "measure": "NotReady"}


def test_the_options_of_a_call(answers: Any) -> None:
    tasks = answers["flows"]["retried"]["tasks"]

    assert answers["third time"] == 3
    assert tasks["third_time"] == {"state": "Completed", "tags": ["tried"], "runs": 3, "inputs": {}}
    assert (tasks["other"]["state"], tasks["other"]["runs"]) == ("Failed", 1)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("arguments", "TypeError: task 'measure': missing a required argument: 'size'; it takes (size: "),
        ("flow", "FlowError: task 'total' was called with a flow, but Prefect 3 submits to the one that is running"),
        ("mapped", "TaskDefinitionError: task 'total' cannot be mapped"),
        ("task", "TaskDefinitionError: 'total' is called in a flow of Prefect with <Task: total>, a task of Dioptra"),
        ("upstream", "TaskDefinitionError: 'total' is called in a flow of Prefect with <Task: total>, a task of"),
        ("no list", "FlowError: upstream_tasks=5 is not a list of tasks; write upstream_tasks=[first, second]"),
        ("no dictionary", "TaskDefinitionError: task 'total' has task_args=3; write task_args="),
        ("unpacked", "TaskNotIterableError: Task 'total' is not iterable"),
        ("reserved", "TaskDefinitionError: 'reserved' cannot be a task of Prefect 3, because of its argument wait_for"),
        ("starred", "TaskDefinitionError: starred cannot be a task, because it takes *values"),
        ("anything", "TaskDefinitionError: 'anything' cannot be a task of Prefect 3, because of its argument return_"),
        ("trigger", "TaskDefinitionError: task 'total' cannot have trigger in a flow of Prefect 3"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_submitted(answers: Any, what: str, sentence: str) -> None:
    assert answers["refused"][what].startswith(sentence)
    assert states(answers["flows"]["refusing"]) == {"total": "Completed", "measure": "Completed"}


def test_a_flow_of_dioptra_within_one_of_prefect(answers: Any) -> None:
    assert answers["of ours"]
    assert answers["ours ran"] == 1
    assert answers["our task in theirs"]
    assert "'total' is called in a flow of Dioptra with <prefect.futures.PrefectConcurrentF" in answers["in ours"]
    assert answers["in ours"].endswith("; give it what call_task returned in the same flow, or plain values")


def test_a_task_to_be_called_by_the_script(answers: Any) -> None:
    assert answers["get_task"] == [True, "measure", "Return the number of pixels, and that of channels.", [2, 3]]
    assert answers["get_task outside"]


def test_outside_of_any_flow(answers: Any) -> None:
    before, (after, kept) = answers["before"], answers["after"]

    assert before == after
    assert before.startswith("NoActiveFlowError: call_task('my_plugins', 'steps', 'total') was called outside of any")
    assert "; in a flow of Prefect 3, call it in the flow's own thread" in before
    assert kept == "NoActiveFlowError: task 'last[0]' was used when its flow of Prefect 3 had ended"
