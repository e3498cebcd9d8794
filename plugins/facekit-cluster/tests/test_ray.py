"""Tasks of Ray, on a cluster of two nodes on this machine, of which one dies."""

from __future__ import annotations

from pathlib import Path

import pytest

from facekit.interfaces import STOPPED, ExecutorContext, FacekitError
from facekit_cluster.options import RayOptions
from facekit_cluster.ray_tasks import build_ray

ray = pytest.importorskip("ray", reason="needs Ray: pip install ray")


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def executor(cluster, tmp_path):
    return build_ray(RayOptions(), ExecutorContext(tmp_path))


def test_a_task_runs_its_command(executor, script, wait, tmp_path):
    assert wait(executor.submit(script(steps=2)).poll) == 0
    assert (tmp_path / "a task.done").read_text() == "2"
    assert wait(executor.submit(script("fails", code="import sys; sys.exit('out of luck')")).poll) == 1
    assert (tmp_path / "logs" / "fails.log").read_text() == "out of luck\n"


def test_a_cancelled_task_saves_and_goes_on_when_submitted_again(executor, script, wait, tmp_path):
    log = tmp_path / "logs" / "a task.log"
    running, waiting = executor.submit(script(steps=1000)), executor.submit(script("waits"))
    wait(lambda: log.exists() and "began" in log.read_text())
    assert running.poll() is None
    waiting.cancel()
    running.cancel()
    assert wait(running.poll) == wait(waiting.poll) == STOPPED
    assert not (tmp_path / "logs" / "waits.log").exists(), "it never began"
    step = int((tmp_path / "a task.saved").read_text())
    assert wait(executor.submit(script(steps=step + 1)).poll) == 0
    assert log.read_text().splitlines()[-1] == f"began at {step}"


def test_a_task_that_is_killed_ends_at_once(executor, script, wait, tmp_path):
    log = tmp_path / "logs" / "a task.log"
    running = executor.submit(script(steps=1000))
    wait(lambda: log.exists() and "began" in log.read_text())
    running.cancel(at_once=True)
    assert wait(running.poll) == STOPPED
    process = Path("/proc") / (tmp_path / "a task.pid").read_text()
    wait(lambda: not process.exists())
    assert not (tmp_path / "a task.saved").exists(), "Ray kills the processes of a worker that it kills"


def test_tasks_of_a_node_that_dies_are_done_by_the_other(cluster, executor, script, wait, tmp_path):
    node = cluster.add_node(num_cpus=2)
    names = [f"task-{number}" for number in range(6)]
    logs = [tmp_path / "logs" / f"{name}.log" for name in names]
    tasks = [executor.submit(script(name, steps=40)) for name in names]
    wait(lambda: sum(log.exists() and "began" in log.read_text() for log in logs) >= 3)
    cluster.remove_node(node, allow_graceful=False)
    assert [wait(task.poll) for task in tasks] == [0] * 6
    assert [(tmp_path / f"{name}.done").read_text() for name in names] == ["40"] * 6
    started = sum(log.read_text().count("began") for log in logs)
    assert started > 6, "what had begun on the node was started again"


def test_no_cluster_at_the_address(monkeypatch, tmp_path):
    def refuse(**options):
        raise ConnectionError("nobody listens at 127.0.0.1:1")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(FacekitError, match="there is no Ray cluster: nobody listens") as raised:
        build_ray(RayOptions(address="127.0.0.1:1"), ExecutorContext(tmp_path))
    assert "ray start --head" in str(raised.value)
