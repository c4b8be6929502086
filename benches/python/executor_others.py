"""Others that run tasks, while they are measured: the same number of tasks that do nothing, and one after the other.

    python3 executor_others.py celery|dask|hyperqueue --tasks 5000 --singles 200

prints `tasks=… seconds=… p50=… p99=…`. Each has one worker with eight slots, in processes of their own but for HyperQueue,
whose Python package runs its server and its worker in this one. It needs, in a virtual environment,

    pip install "celery[redis]" distributed hyperqueue

and for Celery `redis-server` (Debian: redis-server), which keeps its data in memory: what it acknowledges may be lost.
"""

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time

SLOTS = 8


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("by", choices=["celery", "dask", "hyperqueue"])
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--singles", type=int, default=200)
    arguments = parser.parse_args()
    # HyperQueue prints tables.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with contextlib.ExitStack() as stack:
        run = {"celery": by_celery, "dask": by_dask, "hyperqueue": by_hyperqueue}[arguments.by](stack)
        run(200)
        began = time.perf_counter()
        run(arguments.tasks)
        seconds = time.perf_counter() - began
        singles = []
        for _ in range(arguments.singles):
            began = time.perf_counter()
            run(1)
            singles.append(time.perf_counter() - began)
        singles.sort()
        p50, p99 = (singles[int(len(singles) * share)] for share in (0.5, 0.99))
        print(f"tasks={arguments.tasks} seconds={seconds:.6f} p50={p50:.6f} p99={p99:.6f}", file=output, flush=True)


def by_celery(stack):
    port = free_port()
    broker = start(stack, ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""])
    wait_for(port, broker)
    os.environ["EXECUTOR_OTHERS_REDIS"] = f"redis://127.0.0.1:{port}"
    app = celery_app()
    worker = [sys.executable, "-m", "celery", "-A", "executor_others:celery", "worker"]
    start(stack, worker + ["-c", str(SLOTS), "-l", "ERROR", "--without-gossip", "--without-mingle"])

    def run(count):
        results = [app.tasks["nothing"].delay() for _ in range(count)]
        for result in results:
            result.get(timeout=300)

    return run


def celery_app():
    from celery import Celery

    url = os.environ["EXECUTOR_OTHERS_REDIS"]
    app = Celery("executor_others", broker=url, backend=url)
    app.task(name="nothing")(nothing)
    return app


def by_dask(stack):
    from distributed import Client

    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    options = ["--no-dashboard"]
    scheduler = start(stack, [sys.executable, "-m", "dask", "scheduler", "--host", address] + options)
    wait_for(port, scheduler)
    worker = [sys.executable, "-m", "dask", "worker", address, "--no-nanny", "--nthreads", str(SLOTS)]
    start(stack, worker + options)
    client = stack.enter_context(Client(address))
    client.wait_for_workers(1)

    def run(count):
        client.gather(client.map(nothing_of, range(count), pure=False))

    return run


def by_hyperqueue(stack):
    from hyperqueue import Job, LocalCluster
    from hyperqueue.cluster import WorkerConfig

    directory = stack.enter_context(tempfile.TemporaryDirectory())
    os.chdir(directory)
    cluster = stack.enter_context(LocalCluster(worker_config=WorkerConfig(cores=SLOTS)))
    client = cluster.client()

    def run(count):
        job = Job()
        for _ in range(count):
            job.program(["/bin/true"], stdout=None, stderr=None)
        client.wait_for_jobs([client.submit(job)])

    return run


def nothing():
    return None


def nothing_of(_):
    return None


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def start(stack, command):
    directory = stack.enter_context(tempfile.TemporaryDirectory())
    # Celery and the workers of Dask import this module.
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.abspath(__file__))}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=directory, env=environment, **quiet)
    stack.callback(stop, process)
    return process


def stop(process):
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(port, process):
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise SystemExit(f"{process.args[0]} does not listen")


if "EXECUTOR_OTHERS_REDIS" in os.environ:
    celery = celery_app()

if __name__ == "__main__":
    main()
