"""What Weights & Biases and MLflow have stored in a folder, read without a server."""

import json
import struct


def read_wandb(folder):
    """Returns all (name, step, value) of a folder's files, and the runs: (id, project, name)."""
    logged, runs = [], set()
    for file in sorted(folder.rglob("*.wandb"), key=lambda file: file.stat().st_mtime_ns):
        for record in wandb_records(file):
            if record.HasField("run"):
                runs.add((record.run.run_id, record.run.project, record.run.display_name))
            numbers = {(item.key or item.nested_key[0]): item.value_json for item in record.history.item}
            if numbers:
                step = record.history.step.num
                logged += [(name, step, json.loads(numbers[name])) for name in numbers if not name.startswith("_")]
    return logged, runs


def wandb_records(file):
    """Yields a file's records: LevelDB's log format, blocks of 32 kB after a header of seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, start, whole = file.read_bytes(), 7, b""
    while start + 7 <= len(data):
        _, size, kind = struct.unpack_from("<IHB", data, start)
        if kind == 0:  # the rest of a block
            start += 32768 - start % 32768
            continue
        whole += data[start + 7 : start + 7 + size]
        start += 7 + size
        if 32768 - start % 32768 < 7:
            start += 32768 - start % 32768
        if kind in (1, 4):  # whole, or its last part
            yield Record.FromString(whole)
            whole = b""


def read_mlflow(uri, experiment):
    """Returns the facts about the only run of an experiment, and all its (name, step, value)."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    history = [each for name in run.data.metrics for each in client.get_metric_history(run.info.run_id, name)]
    return run.info, [(each.key, each.step, each.value) for each in history]
