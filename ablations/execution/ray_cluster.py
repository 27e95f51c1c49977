"""Runs on a Ray cluster, through joblib's Ray backend, with or without a shared results folder.

Each joblib task is a lane: it goes through all runs and does those that nobody has claimed, so no
lane idles while another has runs queued. A node that sees the results folder works in it. On any
other, a run works in a local folder and everything it writes is sent to the `Depot`, an actor on
the driver's machine, which is then the only writer: progress, checkpoints, results, `done` last.
"""

import contextlib
import os
import shutil
import socket
import tempfile
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablations.execution.isolation import RunEnd, end_on_disk, run_isolated
from ablations.execution.ray_connection import ANSWER_S, connect, require_ray
from ablations.execution.resources import Means
from ablations.execution.worker import Job
from ablations.runs.claims import CLAIM, Claim, ClaimLostError, require_held
from ablations.runs.run_folder import FORBIDDEN, NO_ROOM, RUNS_FOLDER, RunFolder
from smoe.atomic import write_atomic

SEND_S = 2.0  # between two looks at what a run without a shared folder has written
WHILE_WORKING = ("config.json", "progress.json", "checkpoint.pt")
Files = dict[str, bytes]


def ray_attempts(jobs: list[Job], means: Means) -> Iterator[RunEnd]:
    """One attempt at each job; when a node is lost, the others go on with what is left."""
    ray = require_ray()

    connect(means.address)
    results = jobs[0].folder.results
    known: dict[str, RunEnd] = {}
    for _ in range(len(jobs) + 1):
        with _depot(results) as depot:
            left = [replace(job, depot=depot) for job in jobs if not end_on_disk(job)]
            try:
                known = {end.run_id: end for lane in _lanes(left, means) for end in lane}
                break
            except ray.exceptions.RayError:  # joblib gives the whole batch up
                continue
    for job in jobs:
        run_id = job.folder.run_id
        claimed = Claim.on(job.folder.path).is_alive()
        unknown = RunEnd(run_id, "elsewhere" if claimed else "stopped", "its node was lost")
        yield end_on_disk(job) or known.get(run_id, unknown)


def _lanes(jobs: list[Job], means: Means) -> list[list[RunEnd]]:
    import joblib

    if not jobs:
        return []
    nodes = _answering()
    need: dict[str, float] = {"num_cpus": means.threads}
    if means.device != "cpu":
        gpus = int(sum(node["Resources"].get("GPU", 0) for node in nodes))
        need["num_gpus"] = 1 / -(-means.jobs // max(1, gpus))  # the fraction that lets all fit
    room = sum(_fits(node["Resources"], need) for node in nodes)
    lanes = max(1, min(means.jobs, room, len(jobs)))
    require_ray().util.joblib.register_ray()
    with joblib.parallel_config(backend="ray", ray_remote_args=need):
        pool: Any = joblib.Parallel(n_jobs=lanes)
        return pool([joblib.delayed(_lane)(jobs) for _ in range(lanes)])


def _on(node_id: str) -> Any:
    return require_ray().util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        node_id, soft=False
    )


def _fits(resources: dict[str, float], need: dict[str, float]) -> int:
    names = {"num_cpus": "CPU", "num_gpus": "GPU"}
    return min(int(resources.get(names[key], 0) / each + 1e-6) for key, each in need.items())


def _answering() -> list[dict[str, Any]]:
    """The nodes that live: the cluster goes on listing one that was lost for some seconds."""
    ray = require_ray()

    ping = ray.remote(num_cpus=0, max_retries=0)(_answer)
    nodes = {}
    for node in ray.nodes():
        if node["Alive"]:
            nodes[ping.options(scheduling_strategy=_on(node["NodeID"])).remote()] = node
    ready, _ = ray.wait(list(nodes), num_returns=len(nodes), timeout=ANSWER_S)
    answering = []
    for reference in ready:
        with contextlib.suppress(ray.exceptions.RayError):
            ray.get(reference)
            answering.append(nodes[reference])
    return answering


def _answer() -> None:
    """What a node does to show that it lives."""


def _lane(jobs: list[Job]) -> list[RunEnd]:
    """Does, one after the other, the runs that nobody has claimed; runs in a worker of Ray's."""
    ends = []
    for job in jobs:
        seen = (job.folder.results / RUNS_FOLDER / str(job.depot)).exists()
        end = run_isolated(job) if seen else _run_without_shared_folder(job)
        if end.status != "elsewhere":
            ends.append(end)
        if end.status in ("no room", "time up"):
            break
    return ends


def _run_without_shared_folder(job: Job) -> RunEnd:
    ray = require_ray()

    depot = ray.get_actor(job.depot)
    begun: Files | None = ray.get(depot.begin.remote(job))
    if begun is None:
        return RunEnd(job.folder.run_id, "elsewhere")
    home = Path(tempfile.mkdtemp(prefix="smoe-run-"))
    folder = RunFolder(home / job.folder.path.parent.name / job.folder.path.name)
    try:
        _write(folder.path, begun)
        local = replace(job, folder=folder, corpus_folder=_corpus(job, depot))
        sent: dict[str, int] = {}
        with _sending(depot, job, folder, sent):
            end = run_isolated(local)
        no_room = ray.get(depot.store.remote(job, _changed(folder, sent)))
    finally:
        ray.get(depot.end.remote(job))
        shutil.rmtree(home, ignore_errors=True)
    return RunEnd(end.run_id, "no room", str(no_room)) if no_room else end


@contextlib.contextmanager
def _sending(depot: Any, job: Job, folder: RunFolder, sent: dict[str, int]) -> Iterator[None]:
    """Sends what a run writes while it works, so that its node may be lost as well."""
    ray = require_ray()

    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(SEND_S):
            ray.get(depot.store.remote(job, _changed(folder, sent, WHILE_WORKING)))

    sender = threading.Thread(target=loop, daemon=True)
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join()


def _changed(folder: RunFolder, sent: dict[str, int], names: tuple[str, ...] = ()) -> Files:
    """The files written since they were last sent; all of the folder's unless names are given."""
    files: Files = {}
    for path in sorted(folder.path.glob("*")):
        if path.name == CLAIM or path.name.startswith(".") or (names and path.name not in names):
            continue
        with contextlib.suppress(FileNotFoundError):
            written = path.stat().st_mtime_ns
            if sent.get(path.name) != written:
                files[path.name], sent[path.name] = path.read_bytes(), written
    return files


def _corpus(job: Job, depot: Any) -> Path:
    """The prepared corpus on this node, fetched from the driver the first time."""
    ray = require_ray()

    mine = f"smoe-corpora-{os.getuid()}"  # by number: a node need not know the user's name
    folder = Path(tempfile.gettempdir(), mine, job.corpus_folder.name)
    if not folder.exists():
        arriving = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        _write(arriving, ray.get(depot.corpus.remote(job)))
        with contextlib.suppress(OSError):  # another lane was first
            arriving.rename(folder)
        shutil.rmtree(arriving, ignore_errors=True)
    return folder


def _write(folder: Path, files: Files) -> None:

    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(files, key=lambda name: name == "done"):  # done comes last
        write_atomic(folder / name, files[name])


@contextlib.contextmanager
def _depot(results: Path) -> Iterator[str]:
    """Starts the depot beside the driver; a file of its name tells who sees the results folder."""
    ray = require_ray()

    name = f".depot-{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    token = results / RUNS_FOLDER / name
    token.touch()
    here = _on(ray.get_runtime_context().get_node_id())
    options = {"num_cpus": 0, "name": name, "scheduling_strategy": here}
    depot = ray.remote(Depot).options(**options).remote()
    try:
        yield name
    finally:
        ray.kill(depot)
        token.unlink(missing_ok=True)


class Depot:
    """Writes, on the driver's machine, the runs of nodes that do not see its results folder."""

    def __init__(self) -> None:
        self._claims: dict[str, Claim] = {}

    def begin(self, job: Job) -> Files | None:
        """Claims a run for a node; what it needs to go on, or None where there is nothing to do."""
        claim = Claim.on(job.folder.path)
        if end_on_disk(job) or not claim.take():
            return None
        claim.keep()
        self._claims[job.folder.run_id] = claim
        job.folder.sweep()
        return _changed(job.folder, {})

    def store(self, job: Job, files: Files) -> int | None:
        """Writes what a run has written; the number of the error if that may or can not be."""
        try:
            require_held(job.folder.path)
            _write(job.folder.path, files)
        except ClaimLostError:  # another runner does the run now
            return None
        except OSError as error:
            if error.errno not in (*NO_ROOM, *FORBIDDEN):
                raise
            return error.errno
        if "done" in files:
            job.folder.drop_leftovers()
        return None

    def end(self, job: Job) -> None:
        """Gives the run back."""
        self._claims.pop(job.folder.run_id).release()

    def corpus(self, job: Job) -> Files:
        """The prepared corpus."""
        return {path.name: path.read_bytes() for path in job.corpus_folder.iterdir()}
