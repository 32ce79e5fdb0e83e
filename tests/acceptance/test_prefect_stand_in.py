"""The stand-in for Prefect 1 in processes of its own: what it has, and how it gives way to a real one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from dioptra.prefect import STAND_IN_DIR
from tests.conftest import clean_environment


def run(code: str, *folders: Path, options: tuple[str, ...] = (), **environment: str) -> str:
    """Run code in a process whose path goes on, behind the stand-in, with these folders; return what it printed."""
    path = os.pathsep.join(map(str, [STAND_IN_DIR, *folders]))
    done = subprocess.run(
        [sys.executable, *options, "-c", dedent(code)],
        env=clean_environment(PYTHONPATH=path, **environment),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else done.stderr.splitlines()[-1]


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A folder with a package `prefect` that is like the real one as far as importing goes."""
    package = tmp_path / "installed" / "prefect"
    (package / "core").mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from prefect.core.flow import Flow\nimport prefect.config\n__version__ = '1.2.0'\ncontext = {}\n"
    )
    (package / "core" / "__init__.py").write_text("")
    (package / "core" / "flow.py").write_text("class Flow:\n    def run(self): return 'ran'\n")
    (package / "config.py").write_text("")
    return package.parent


class TestInTheAbsenceOfARealOne:
    def test_what_it_has_is_of_dioptra(self) -> None:
        printed = run("""
            import prefect
            from prefect import Flow, Parameter, Task, context, engine, task, triggers, utilities
            from prefect.triggers import all_finished, all_successful, any_failed
            from prefect.engine.signals import FAIL, SKIP
            from prefect.engine.state import Failed, Success
            from prefect.utilities.logging import get_logger as get_prefect_logger
            from dioptra import flow
            assert (Parameter, Task, task) == (flow.Parameter, flow.Task, flow.task)
            assert issubclass(Flow, flow.Flow)
            assert prefect.triggers.all_finished is flow.triggers.all_finished
            assert (Failed, Success) == (flow.Failed, flow.Success)
            assert get_prefect_logger().name == "prefect" and get_prefect_logger("x").name == "prefect.x"
            print(sorted(prefect.__all__))
        """)
        assert printed == "['Flow', 'Parameter', 'Task', 'context', 'engine', 'task', 'triggers', 'utilities']\n"

    def test_context(self) -> None:
        printed = run("""
            import prefect
            from prefect import Flow, Parameter, task

            @task(name="adder")
            def add(x, y):
                context = prefect.context
                assert context.parameters == context.get("parameters") == context["parameters"] == {"x": 1, "y": 5}
                assert (context.flow_name, context.task_name, context.task_slug) == ("sums", "adder", "adder-1")
                assert context.task_run_count == context["task_run_count"] == 1
                assert "task_name" in context and context.get("map_index", -1) == -1
                context.logger.info("in the task")

            assert "parameters" not in prefect.context and prefect.context.get("task_name") is None
            prefect.context.get("logger").info("before")
            with Flow("sums") as flow:
                add(Parameter("x"), Parameter("y", default=5))
            flow.run(parameters={"x": 1})
            flow.run(x=1)
            print(list(prefect.context), repr(prefect.context))
            print(prefect.context.map_index)
        """)
        assert printed == (
            "AttributeError: prefect.context has no 'map_index' here, in Dioptra's stand-in for Prefect 1; "
            "use prefect.context.get('map_index'), or what it has: logger"
        )

    def test_what_it_logs_is_seen_until_the_script_clears_it(self) -> None:
        printed = run("""
            import logging
            from prefect.utilities.logging import get_logger
            get_logger("mine").info("seen")
            get_logger("mine").info("again")
            get_logger().handlers.clear()
            get_logger("mine").info("not seen")
            logging.basicConfig(format="%(message)s", level=logging.INFO, stream=__import__("sys").stdout)
            get_logger("mine").info("as the script says")
        """)
        assert [line.partition(" INFO ")[2] for line in printed.splitlines()] == [
            "prefect.mine seen",
            "prefect.mine again",
            "",
        ]
        assert printed.endswith("\nas the script says\n")

    @pytest.mark.parametrize(
        ("code", "missing"),
        [
            ("import prefect; prefect.case", "prefect.case"),
            ("from prefect import case", "prefect.case"),
            ("import prefect.tasks", "prefect.tasks"),
            ("from prefect.tasks.control_flow import case", "prefect.tasks"),
            ("from prefect.utilities.tasks import task", "prefect.utilities.tasks"),
            ("from prefect.engine.state import Cached", "prefect.engine.state.Cached"),
            ("from prefect.engine.signals import VALIDATIONFAIL", "prefect.engine.signals.VALIDATIONFAIL"),
            ("from prefect.engine import executors", "prefect.engine.executors"),
            ("from prefect.triggers import never", "prefect.triggers.never"),
            ("from prefect.utilities.logging import configure_logging", "prefect.utilities.logging.configure_logging"),
            ("import prefect; prefect.engine.state.Cached", "prefect.engine.state.Cached"),
            ("import prefect; prefect.utilities.tasks", "prefect.utilities.tasks"),
            ("import prefect; prefect.Flow('x').serialize()", "prefect.Flow.serialize"),
        ],
    )
    def test_what_it_has_not_says_what_to_do(self, code: str, missing: str) -> None:
        assert f"Dioptra's stand-in for Prefect 1 has no {missing!r}; use what it has (Flow, Parameter, " in run(code)
        assert run(code).endswith("or install the real Prefect 1: pip install 'dioptra-testbed[prefect1]'")

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            (
                "Flow('x', schedule=1)",
                "Flow(...) of Dioptra's stand-in for Prefect 1 cannot have 'schedule'; leave it out",
            ),
            ("Flow('x', 1)", "cannot have 'schedule'"),
            ("Flow('x', state_handlers=[print])", "cannot have 'state_handlers'"),
            (
                "Flow('x', shedule=None)",
                "TypeError: Flow(...) of Dioptra's stand-in for Prefect 1 cannot have 'shedule'",
            ),
            ("Flow('x').run(executor=1)", "Flow.run(...) of Dioptra's stand-in for Prefect 1 cannot have 'executor'"),
            ("Flow('x').run([1])", "Flow.run takes its parameters as a dictionary, not as [1]"),
            ("Flow('x').run(exeggutor=1)", "unexpected parameters: exeggutor"),
        ],
    )
    def test_options_that_mean_nothing_here_are_explained(self, code: str, words: str) -> None:
        assert words in run(f"from prefect import Flow; {code}")

    def test_options_that_ask_for_nothing_are_let_pass(self) -> None:
        printed = run("""
            import copy, pickle
            from prefect import Flow, Parameter
            with Flow("x", None, executor=None, state_handlers=[]) as flow:
                Parameter("state")()
            print(flow.run(executor=None, run_on_schedule=False, state=5).is_successful())
            print(copy.copy(flow).name, pickle.loads(pickle.dumps(Flow("y"))).name, hasattr(flow, "diagnose"))
        """)
        assert printed == "True\nx y False\n"

    def test_a_probe_for_another_name_is_answered(self) -> None:
        assert (
            run("import prefect; print(hasattr(prefect, 'case'), hasattr(prefect, '__version__'))") == "False False\n"
        )

    def test_a_folder_of_that_name_is_no_real_one(self, tmp_path: Path) -> None:
        (tmp_path / "prefect").mkdir()
        assert run("import prefect; print(prefect.Flow.__module__)", tmp_path) == "prefect._flow\n"

    def test_an_interpreter_without_dioptra(self, real: Path) -> None:
        assert run("import prefect", options=("-S",)) == "ModuleNotFoundError: No module named 'prefect'"
        assert run("import prefect; print(prefect.Flow().run())", real, options=("-S",)) == "ran\n"


class TestGivingWay:
    @pytest.mark.parametrize(
        "first",
        ["import prefect", "import prefect.core.flow", "from prefect import Flow", "from prefect.core import flow"],
    )
    def test_the_real_one_takes_its_place(self, first: str, real: Path) -> None:
        printed = run(
            f"""
            import sys
            {first}
            import prefect, prefect.core.flow
            from prefect import core
            print(prefect.__file__, sys.modules["prefect"] is prefect, prefect.core.flow.Flow is prefect.Flow)
            print([folder for folder in sys.path if "stand_in" in folder], prefect.__spec__.name)
            print(sorted(name for name in sys.modules if name.startswith("prefect")))
            """,
            real,
        )
        assert printed.splitlines() == [
            f"{real}/prefect/__init__.py True True",
            "[] prefect",
            "['prefect', 'prefect.config', 'prefect.core', 'prefect.core.flow']",
        ]

    def test_in_many_threads(self, real: Path) -> None:
        code = """
            import threading
            def look():
                import prefect
                found.append(prefect.__file__)
            found = []
            threads = [threading.Thread(target=look) for _ in range(20)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            print(len(found), *set(found))
        """
        assert run(code, real) == f"20 {real}/prefect/__init__.py\n"

    def test_a_real_one_that_is_broken_raises_its_own_error(self, real: Path) -> None:
        (real / "prefect" / "config.py").write_text("import a_package_that_is_not_there")
        assert run("import prefect", real) == "ModuleNotFoundError: No module named 'a_package_that_is_not_there'"

    def test_outside_of_a_job_flows_are_not_watched(self, real: Path, tmp_path: Path) -> None:
        code = "from prefect import Flow; print(hasattr(Flow.run, '__wrapped__'))"
        assert run(code, real) == "False\n"
        assert run(code, real, DIOPTRA_ATTEMPT_DIR=str(tmp_path)) == "True\n"


def test_the_path_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    from dioptra.tracking import IN_JOB_DIR
    from dioptra.worker import job_environment

    for before, after in [("", ""), ("/mine", "/mine:"), ("/mine:/yours", "/mine:/yours:")]:
        monkeypatch.setenv("PYTHONPATH", before)
        assert job_environment({})["PYTHONPATH"] == f"{IN_JOB_DIR}:{after}{STAND_IN_DIR}"
