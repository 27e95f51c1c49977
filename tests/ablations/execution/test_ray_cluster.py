"""A real Ray cluster of three nodes on this machine; needs the extra cluster."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ablations.conftest import assert_same_bundle, command, run_all

ray = pytest.importorskip("ray", reason="Ray is not installed (the extra cluster)")
pytestmark = pytest.mark.slow


@pytest.fixture
def cluster() -> Iterator[Any]:
    """The head node alone; tests add what they need."""
    from ray.cluster_utils import Cluster

    running = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    yield running
    running.shutdown()


def unshared_node(address: str, hidden: Path) -> subprocess.Popen:
    """A node for which the results folder is empty, in a mount namespace of its own."""
    ray_start = (
        f"mount -t tmpfs tmpfs {hidden} && "
        f"exec {sys.executable} -m ray.scripts.scripts start --address={address} "
        "--num-cpus=2 --block --disable-usage-stats"
    )
    return subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", ray_start],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def nodes_alive(cluster: Any) -> int:
    from ray._private import state

    gcs = state.GlobalState()
    gcs._initialize_global_state(
        ray._raylet.GcsClientOptions.create(
            cluster.address, None, allow_cluster_id_nil=True, fetch_cluster_id_if_nil=False
        )
    )
    return sum(node["Alive"] for node in gcs.node_table())


def test_a_study_on_three_nodes_one_lost_on_the_way_and_one_without_the_results_folder(
    smoke: Path, tmp_path: Path, cluster: Any
):
    if subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("this process may not make a mount namespace")
    results = tmp_path / "results"
    shutil.copytree(smoke / ".corpora", results / ".corpora")
    lost = cluster.add_node(num_cpus=2)
    unshared = unshared_node(cluster.address, results)
    until = time.monotonic() + 60
    while nodes_alive(cluster) < 3:
        assert time.monotonic() < until
        time.sleep(0.5)
    arguments = ("run", "--study", "smoke", "--results", results, "--backend", "ray")
    study = subprocess.Popen(
        command(*arguments, "--address", cluster.address, "--jobs", "3", "--threads", "1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until = time.monotonic() + 120
    while not list(results.glob(".runs/*/*/progress.json")):
        assert study.poll() is None, study.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.2)
    cluster.remove_node(lost, allow_graceful=False)
    screen = study.communicate(timeout=400)[0]
    unshared.terminate()
    assert study.returncode == 0, screen
    assert_same_bundle(results, smoke)
    logs = [path.read_text() for path in results.glob(".runs/*/*/log.txt")]
    assert any(f"in {results}" in log for log in logs)
    assert any("smoe-run-" in log for log in logs), "the node without the folder did nothing"
    assert not list(results.glob(".runs/.depot-*"))


def test_an_address_where_no_cluster_is_is_named(tmp_path: Path):
    arguments = ("run", "--study", "smoke", "--backend", "ray", "--address", "127.0.0.1:9")
    finished = run_all(*arguments, "--results", tmp_path, timeout=60)
    assert finished.returncode == 2
    assert "127.0.0.1:9" in finished.stderr
    assert "ray start --head" in finished.stderr
