"""The commands as a person runs them, as processes: the real reviews, on a model small enough to train in seconds."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from itertools import islice
from pathlib import Path

import jax
import pytest

from experiments.imdb.reviews.own.source import OwnData
from experiments.imdb.runs.files import read_recipe
from experiments.imdb.runs.soak import compare_runs
from experiments.imdb.training.train import make_start
from recurrent.training.checkpoints.seal import read_seal, write_seal
from tests import forked
from tests.logged import read_mlflow, read_wandb
from tests.unprivileged import UNPRIVILEGED, needs_permissions

ROOT = Path(__file__).parents[3]
PROGRAM = (sys.executable, "-m", "experiments.imdb")
SMALL = ["--epochs=2", "--sequence-length=12", "--hidden-size=4", "--embedding-size=4", "--vocabulary-size=500"]


@pytest.fixture(scope="module")
def command(wheel_dataset, wheel_data_dir, child_environment):
    """Starts `scripts/imdb` with some arguments, in the environment that the tests run in."""

    def start(*arguments, wrapper=(), program=PROGRAM, cwd=ROOT, stdout=subprocess.PIPE, **variables):
        environment = {**child_environment, "COLUMNS": "80", **variables}
        pipes = {"stdin": subprocess.PIPE, "stdout": stdout, "stderr": subprocess.PIPE}
        line = [*wrapper, *program, *map(str, arguments)]
        if arguments[0] == "train" and "--help" not in arguments:  # other commands find what the run remembers
            line.append(f"--data-dir={wheel_data_dir}")
        return forked.Popen(line, env=environment, cwd=cwd, **pipes)

    return start


@pytest.fixture(scope="module")
def imdb(command):
    """Runs it to its end: (exit code, standard output, standard error)."""

    def run(*arguments, stdin=b"", **options):
        process = command(*arguments, **options)
        output, errors = process.communicate(stdin, timeout=300)
        return process.returncode, output.decode(errors="replace"), errors.decode(errors="replace")

    return run


@pytest.fixture(scope="module")
def trained(imdb, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "trained"
    code, output, errors = imdb("train", *SMALL, f"--run-dir={path}")
    assert code == 0, errors
    return path, output


def assert_same_run(one, other):
    assert compare_runs(one, other, make_start(read_recipe(one))) == []


def test_training_says_what_it_does_and_where_things_are(trained):
    path, output = trained
    for words in ("embedding/embedding", "500×4", "88,584", "epoch  2/2", "steps/s", "best", str(path)):
        assert words in output
    assert max(len(line) for line in output.splitlines() if str(path) not in line) <= 80
    records = [json.loads(line) for line in (path / "records.jsonl").read_text().splitlines()]
    fields = ["epoch", "step", "loss", "acc", "val_loss", "val_acc", "skipped"]
    assert [list(record) for record in records] == [fields] * 2
    assert [record["step"] for record in records] == [157, 314]
    assert records[1]["loss"] < records[0]["loss"]
    timings = [json.loads(line) for line in (path / "timings.jsonl").read_text().splitlines()]
    assert {"epoch", "seconds", "eval_seconds", "save_seconds"} <= set(timings[0])
    manifest = json.loads((path / "manifest.json").read_text())
    assert len(manifest["identity"]["data"]) == len(manifest["identity"]["vocabulary"]) == 64
    assert manifest["identity"]["recipe"].items() <= json.loads((path / "recipe.json").read_text()).items()
    assert manifest["environments"][0]["versions"]["jax"] == jax.__version__
    assert f"backend {manifest['environments'][0]['backend']['name']}" in output


@pytest.mark.fault(27)
def test_a_finished_run_has_nothing_to_do(imdb, trained):
    path, _ = trained
    before = (path / "records.jsonl").read_bytes()
    code, output, _ = imdb("train", *SMALL, f"--run-dir={path}")
    assert (code, "nothing to do" in output) == (0, True)
    assert (path / "records.jsonl").read_bytes() == before


@pytest.mark.fault(13)
def test_two_processes_train_the_same_run(imdb, tmp_path):
    path, program = tmp_path / "run", (sys.executable, "-m", "experiments.local_cluster", "2", "--", *PROGRAM)
    alone, options = tmp_path / "alone", (*SMALL, "--num-shards=2")
    code, _, errors = imdb("train", *options, f"--run-dir={alone}")
    assert code == 0, errors
    code, output, errors = imdb("train", *options, f"--run-dir={path}", program=program)
    assert code == 0, output + errors
    said = [line for line in output.splitlines() if "[Gloo]" not in line]
    assert [line for line in said if not line.startswith("[0] ")] == []  # process 0 alone reports
    assert "epoch  2/2" in output
    assert f"[0] run      {path}" in said
    assert json.loads((path / "manifest.json").read_text())["environments"][0]["num_processes"] == 2
    assert_same_run(alone, path)
    code, output, errors = imdb("train", *options, f"--run-dir={path}")
    assert (code, "nothing to do" in output) == (0, True), errors


def test_training_is_logged_and_traced_and_has_the_same_numbers(imdb, trained, tmp_path):
    pytest.importorskip("tensorboardX")
    path = tmp_path / "logged"
    code, output, errors = imdb("train", *SMALL, f"--run-dir={path}", "--log", "tensorboard", "--profile")
    assert code == 0, errors
    assert f"profile  {path / 'profile'}" in output
    assert len(list((path / "profile").rglob("*.xplane.pb"))) == 1
    (events,) = (path / "tensorboard").iterdir()
    assert b"epoch/val_acc" in events.read_bytes()
    assert_same_run(trained[0], path)
    code, output, _ = imdb("train", *SMALL, f"--run-dir={path}", "--log", "tensorboard")
    assert (code, len(list((path / "tensorboard").iterdir()))) == (0, 1)


@pytest.mark.parametrize("library", ["wandb", "mlflow"])
def test_training_is_logged_offline_to_other_libraries_and_a_resume_continues_it(
    imdb, trained, tmp_path, monkeypatch, library
):
    pytest.importorskip(library)
    offline = {"WANDB_MODE": "offline", "WANDB_API_KEY": "", "MLFLOW_TRACKING_URI": ""}
    path = tmp_path / "logged"
    for epochs in ("--epochs=1", "--epochs=2"):
        code, _, errors = imdb("train", *SMALL, epochs, f"--run-dir={path}", "--log", library, **offline)
        assert code == 0, errors
    assert_same_run(trained[0], path)
    if library == "wandb":
        logged, runs = read_wandb(path / "wandb")
        assert runs == {((path / "wandb" / "id").read_text(), "imdb", "logged")}
    else:
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        run, logged = read_mlflow((path / "mlflow").as_uri(), "imdb")
        assert (run.run_name, run.status) == ("logged", "FINISHED")
    records = [json.loads(line) for line in (path / "records.jsonl").read_text().splitlines()]
    for field in ("loss", "acc", "val_loss", "val_acc", "skipped"):
        found = {(step, value) for name, step, value in logged if name == f"epoch/{field}"}
        assert found == {(record["step"], record[field]) for record in records}


def wait_for(process, path, step):
    """Waits until the run has saved that step."""
    while process.poll() is None and not (path / "checkpoints" / "latest" / step).exists():
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "number", "code"),
    [
        pytest.param("40", signal.SIGKILL, -9, marks=pytest.mark.fault(1)),
        pytest.param("60", signal.SIGTERM, 143, marks=pytest.mark.fault(6)),
        pytest.param("60", signal.SIGINT, 130, marks=pytest.mark.fault(7)),
    ],
)
def test_a_run_that_was_killed_resumes_to_the_same_bits(imdb, command, trained, tmp_path, step, number, code):
    arguments = ("train", *SMALL, f"--run-dir={tmp_path}", "--save-every=20")
    with command(*arguments) as process:
        wait_for(process, tmp_path, step)
        process.send_signal(number)
        output, errors = process.communicate()
    assert process.returncode == code
    said = f"{signal.Signals(number).name}: saving, then stopping (once more: stop now)\n"
    assert errors.decode() == (said if code > 0 else "")
    if code > 0:  # a command that resumes it is printed
        (line,) = re.findall("next (.*)", output.decode())
        assert shlex.split(line)[1:] == ["resume", str(tmp_path)]
        arguments = shlex.split(line)[1:]
    code, _, errors = imdb(*arguments)
    assert code == 0, errors
    assert_same_run(trained[0], tmp_path)


ON_ONE_CORE = """
import os, runpy
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
runpy.run_module("experiments.imdb", run_name="__main__", alter_sys=True)
"""


@pytest.mark.fault(13)
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="nothing here gives a process one core")
def test_one_core_computes_the_bytes_of_all(imdb, trained, tmp_path):
    """With the flag that makes GPUs deterministic, which a CPU takes and has no use for."""
    one_core = (sys.executable, "-c", ON_ONE_CORE)
    code, output, errors = imdb("train", *SMALL, "--deterministic", f"--run-dir={tmp_path}", program=one_core)
    assert code == 0, errors
    assert "1 × cpu" in output
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert "--xla_gpu_deterministic_ops=true" in manifest["environments"][0]["xla_flags"]
    assert_same_run(trained[0], tmp_path)


def test_a_longer_run_goes_on_where_a_shorter_one_ended(imdb, trained, tmp_path):
    for epochs in (1, 2):
        code, _, errors = imdb("train", *SMALL, f"--epochs={epochs}", f"--run-dir={tmp_path}")
        assert code == 0, errors
    assert_same_run(trained[0], tmp_path)
    code, output, errors = imdb("resume", tmp_path, "--epochs=2")
    assert code == 0, errors
    assert "nothing to do: the run is complete" in output


def test_evaluation_repeats_the_recorded_numbers(imdb, trained):
    path, _ = trained
    code, output, _ = imdb("evaluate", path, "--checkpoint=latest", "--json")
    answer = json.loads(output)
    record = json.loads((path / "records.jsonl").read_text().splitlines()[-1])
    assert code == 0
    assert (answer["loss"], answer["accuracy"], answer["step"]) == (record["val_loss"], record["val_acc"], 314)
    assert answer["accuracy_low"] < answer["accuracy"] < answer["accuracy_high"]
    assert sum(answer["confusion"].values()) == answer["examples"] == 5000
    assert 0.5 < answer["auc"] <= 1


@pytest.mark.fault(17)
@pytest.mark.fault(24)
def test_prediction_answers_whatever_the_text(imdb, trained):
    path, _ = trained
    lines = (
        b"a wonderful film\n\n\xff\xfe\x00 \xf0\x9f\x98\x80\nzzyzx qwertz\n" + b"x" * 1_000_000 + b"\n" + b"great " * 30
    )
    code, output, errors = imdb("predict", path, "--json", stdin=lines)
    assert code == 0, errors
    answers = [json.loads(line) for line in output.splitlines()]
    assert len(answers) == 6
    assert [answer["words"] for answer in answers] == [3, 0, 2, 2, 1, 30]
    assert [answer["unknown_words"] for answer in answers] == [0, 0, 2, 2, 1, 0]
    assert [answer["is_cut"] for answer in answers] == [False] * 5 + [True]
    assert [answer["label"] is None for answer in answers] == [False, True, True, True, True, False]
    assert all(0 < answer["probability"] < 1 for answer in answers)
    code, output, _ = imdb("predict", path, "a wonderful film", "qwertz")
    first, second = output.splitlines()
    assert first.startswith(f"{answers[0]['label']} (P(positive) {answers[0]['probability']:.2f})")
    assert second.startswith("nothing to read")


ONE_AFTER_THE_OTHER = """
import json, sys
from experiments.imdb.__main__ import main
for arguments in map(json.loads, sys.argv[1:]):
    if code := main(arguments):
        sys.exit(code)
    print("\\0")
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_texts_are_answered_on_terminals_that_can_not_show_them(trained, child_environment, tmp_path, encoding):
    """Python reads its encoding as it starts, so these processes can't be forked; one answers in both ways."""
    path, text, page = str(trained[0]), "naïve “but” wonderful \u2028 😀", f"--output={tmp_path / 'page.html'}"
    commands = (json.dumps(["predict", path, text]), json.dumps(["explain", path, text, page]))
    environment = {**child_environment, "COLUMNS": "80", "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    line = [sys.executable, "-c", ONE_AFTER_THE_OTHER, *commands]
    done = subprocess.run(line, env=environment, cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    *answers, rest = done.stdout.split(b"\0")
    assert [b"wonderful" in answer for answer in answers] == [True, True]
    assert rest.strip() == b""


def test_an_explanation_is_printed_and_written_as_a_page(imdb, trained, tmp_path):
    path, _ = trained
    page = tmp_path / "pages" / "explanation.html"
    code, output, errors = imdb("explain", path, "a wonderful film <b>", f"--output={page}")
    assert code == 0, errors
    assert re.search(r"wonderful +[+-]\d\.\d{3}", output)
    assert "a wonderful film \\u003cb\\u003e" in page.read_text()
    code, output, _ = imdb("explain", path, "--json", stdin=b"a breathtaking \xff film")
    answer = json.loads(output)
    predicted = json.loads(imdb("predict", path, "--json", "a breathtaking film")[1])
    assert answer["probability"] == pytest.approx(predicted["probability"], rel=1e-5)
    assert answer["label"] == predicted["label"]
    assert [word["status"] for word in answer["words"]] == ["known", "unknown", "dropped", "known"]


def test_a_text_to_explain_needs_no_quotes(imdb, trained):
    path, _ = trained
    whole, parts = (imdb("explain", path, "--json", *words) for words in (["a great film"], ["a", "great", "film"]))
    assert whole == parts
    assert json.loads(parts[1])["text"] == "a great film"


def test_a_server_answers_until_it_is_told_to_stop(command, trained):
    path, _ = trained
    with command("serve", path, "--port=0") as process:
        try:
            (opened,) = (line for line in islice(process.stdout, 2) if line.startswith(b"open"))
            with urllib.request.urlopen(f"{opened.split()[1].decode()}health", timeout=30) as answer:
                assert json.load(answer)["step"] in (157, 314)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGINT  # ended by it, once all requests were answered
    assert b"Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ["'trian'", "Did you mean 'train'?"]),
        (["train", "--recipe", "ltsm"], ["'ltsm'", "Did you mean 'lstm'?"]),
        (["train", "--recipe=simple_rnn"], ["Did you mean 'simple-rnn'?"]),
        (["train", "--epochs=0"], ["epochs must be at least 1"]),
        (["train", "--epochs=many"], ["epochs"]),
        (["train", "--source=nowhere"], ["nowhere", "wheel"]),
        (["train", "--run-dir=/proc/run"], ["/proc/run"]),
        pytest.param(
            ["train", "--device=gpu"], ["--device gpu: JAX finds no such device"], marks=pytest.mark.fault(26)
        ),
        pytest.param(["train", "--device=tpu"], ["--device tpu"], marks=pytest.mark.fault(26)),
        pytest.param(
            ["train", *SMALL, "--hidden-size=1000000"],
            ["out of memory", "--hidden-size"],
            marks=pytest.mark.fault(26),
            id="out of memory",
        ),
        (["doctor", "nowhere"], ["nowhere is not a run"]),
        (["resume", "nowhere"], ["nowhere is not a run"]),
        (["evaluate", "nowhere"], ["nowhere is not a run", "scripts/imdb train"]),
        (["predict", "nowhere", "text"], ["nowhere is not a run"]),
        (["explain", "nowhere", "text"], ["nowhere is not a run"]),
        (["serve", "nowhere"], ["nowhere is not a run"]),
        (["report", "nowhere"], ["nowhere is not a run"]),
        (["report", "docs"], ["There is no run to report", "docs is not a run"]),
        (["curves", "docs"], ["no command 'curves' any more", "'report' draws the learning curves"]),
        (["soak", "--output=/proc/nowhere/x"], ["--output /proc/nowhere/x: "]),
        (["train", "--run-dir=pyproject.toml"], ["imdb: pyproject.toml: it is a file, but must be a folder\n"]),
        (["train", "--run-dir=pyproject.toml/x"], ["pyproject.toml/x: a part of the path is a file"]),
        (["predict", "pyproject.toml", "x"], ["pyproject.toml is not a run"]),
    ],
)
def test_bad_input_gets_one_clear_message(imdb, tmp_path, arguments, words):
    if arguments[:1] == ["train"] and not any("run-dir" in argument for argument in arguments):
        arguments = [*arguments, f"--run-dir={tmp_path / 'run'}"]
    code, _, errors = imdb(*arguments)
    assert code != 0
    assert "Traceback" not in errors
    for word in words:
        assert word in errors
    if arguments[0] == "train" and code == 1:
        assert len(errors.splitlines()) == 1


@pytest.mark.fault(12)
def test_a_run_of_another_recipe_is_refused_and_the_difference_listed(imdb, trained):
    path, _ = trained
    # No reviews are prepared for it.
    missing = f"--data-dir={path / 'missing'}"
    code, _, errors = imdb("train", *SMALL, "--seed=1", "--hidden-size=5", f"--run-dir={path}", missing)
    assert (code, (path / "missing").exists()) == (1, False)
    for words in ("hidden_size: 4 there, 5 now", "seed: 0 there, 1 now", "--run-dir"):
        assert words in errors


def write_mails(path, labels):
    words = {"ham": "lunch with the team", "spam": "claim a free prize", "news": "the paper of today"}
    lines = [f"{words[label]} {number % 7},{label}" for number in range(60) for label in labels]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["text,label", *lines]))


def test_seeds_are_trained_in_one_program_and_settings_in_a_sweep(imdb, tmp_path):
    write_mails(tmp_path / "train.csv", ["ham", "spam"])
    options = (*SMALL, f"--source={tmp_path / 'train.csv'}", f"--data-dir={tmp_path / 'data'}", "--epochs=2")
    train = ("train", *options, "--seeds=0:2", f"--run-dir={tmp_path / 'runs'}")
    code, output, errors = imdb(*train)
    assert code == 0, errors
    runs = sorted((tmp_path / "runs").iterdir())
    assert [run.name[-5:] for run in runs] == ["seed0", "seed1"]
    for words in ("0, 1, in one program", "seed 1", "best epoch  val_acc", "95 % interval of the mean", "next"):
        assert words in output
    code, again, _ = imdb(*train)
    assert (code, "epoch  1/2" in again, "best epoch" in again) == (0, False, True)
    code, output, errors = imdb(*train[:-1], f"--run-dir={tmp_path / 'streamed'}", "--stream")
    assert code == 0, errors
    for run in runs:
        assert (tmp_path / "streamed" / run.name / "records.jsonl").read_bytes() == (run / "records.jsonl").read_bytes()
    code, output, errors = imdb("evaluate", runs[1])
    assert code == 0, errors
    sweep = ("sweep", tmp_path / "sweep", *options, "--vary", "learning_rate=0.01,0.02")
    code, output, errors = imdb(*sweep)
    assert code == 0, errors
    assert "settings 2 finished, 0 failed, 0 open" in output
    code, output, errors = imdb("report", tmp_path / "sweep", f"--output={tmp_path / 'page'}")
    assert (code, (tmp_path / "page" / "sweep.html").exists()) == (0, True), errors
    for arguments, words in (
        ((*train[:-2], "--seeds=3:1"), "names no seed"),
        ((*train, "--coordinator=localhost:1", "--num-processes=2", "--process-id=0"), "leave out --coordinator"),
        ((*sweep[:-1], "learning_rat=1"), "Did you mean 'learning_rate'"),
        ((*sweep, "--vary", "hidden_size=3"), "name all fields after one"),
        ((*train, "--seed=7"), "leave out --seed"),
        (("report", tmp_path / "sweep", runs[0]), "A sweep is reported alone"),
    ):
        code, _, errors = imdb(*arguments)
        assert (code, words in errors, len(errors.splitlines())) == (1, True, 1), errors


def test_own_data_trains_and_its_classes_are_named_everywhere(imdb, tmp_path):
    write_mails(tmp_path / "mails" / "train.csv", ["ham", "spam"])
    write_mails(tmp_path / "mails" / "test.csv", ["spam", "ham"])
    train = ("train", *SMALL, "--learning-rate=0.02", f"--source={tmp_path / 'mails'}", f"--run-dir={tmp_path / 'run'}")
    code, output, errors = imdb(*train, "--epochs=4")
    assert code == 0, errors
    for words in ("classes ham 60 / spam 60", "test 120", "duplicates: 82 in train", "test in train"):
        assert words in " ".join(output.split())
    code, output, _ = imdb("evaluate", tmp_path / "run", "--split=test")
    assert (code, "actual spam" in output, "predicted ham" in output) == (0, True, True)
    code, output, _ = imdb("predict", tmp_path / "run", "claim a free prize", "lunch with the team")
    assert code == 0
    assert [line.split(" (P(spam)")[0] for line in output.splitlines()] == ["spam", "ham"]
    code, output, _ = imdb("explain", tmp_path / "run", "claim a free prize", f"--output={tmp_path / 'page.html'}")
    assert (code, "P(spam)" in output, "P(positive)" in output) == (0, True, False)
    assert "P(spam) is" in (tmp_path / "page.html").read_text()
    code, output, _ = imdb("doctor", tmp_path / "run")
    assert (code, "ham, spam" in output) == (0, True)
    write_mails(tmp_path / "mails" / "train.csv", ["ham", "spam", "spam"])
    code, _, errors = imdb(*train, "--epochs=4")
    assert (code, "data" in errors) == (1, True)


def test_a_streamed_run_equals_one_in_memory_and_goes_on_as_one(imdb, tmp_path, wheel_data_dir):
    source = OwnData(tmp_path / "mails.csv")
    write_mails(source.path, ["ham", "spam"])
    train = ("train", *SMALL, f"--source={source.path}")
    masked = ("--padding=masked", "--batching=by_length", "--bigrams=20", "--naive-bayes=0.4")
    runs = tmp_path / "memory", tmp_path / "streamed"
    for path, options in zip(runs, ([], ["--stream"]), strict=True):
        assert imdb(*train, *masked, "--epochs=1", *options, f"--run-dir={path}")[0] == 0
    for path, options in zip(runs, (["--stream"], []), strict=True):
        code, output, errors = imdb(*train, *masked, "--epochs=2", *options, f"--run-dir={path}")
        assert (code, "warning" in output + errors) == (0, False)
    assert (runs[0] / "records.jsonl").read_bytes() == (runs[1] / "records.jsonl").read_bytes()
    outputs = {imdb("evaluate", path)[1] for path in runs}
    assert len(outputs) == 1
    shard = wheel_data_dir / "encoded" / source.name / "train-00000.ids"
    shard.write_bytes(bytes(shard.stat().st_size))
    code, _, errors = imdb(*train, "--stream", f"--run-dir={tmp_path / 'third'}")
    assert (code, len(errors.splitlines())) == (1, 1)
    assert "train-00000.ids: review 0 of it is corrupt. Delete" in errors


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("text,label\na,x\nb,y\nc,z\n" * 2, ["line 5: class 'label' has one text"]),
        ("text,label\na,x\n", ["all 1 texts have the label 'x'"]),
        ("review,label\na,x\n", ["no column 'text'; it has 'review', 'label'"]),
        ("text,label\na,\n", ["mails.csv, line 2: there is no label"]),
    ],
)
def test_own_data_that_is_wrong_gets_one_clear_message(imdb, tmp_path, content, words):
    (tmp_path / "mails.csv").write_text(content)
    code, _, errors = imdb("train", *SMALL, f"--source={tmp_path / 'mails.csv'}", f"--run-dir={tmp_path / 'run'}")
    assert (code, len(errors.splitlines())) == (1, 1)
    assert all(word in errors for word in words), errors
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_a_split_that_the_source_lacks_is_named(imdb, trained):
    code, _, errors = imdb("evaluate", trained[0], "--split=test")
    assert code == 1
    assert "wheel has no split 'test'" in errors


@pytest.fixture
def copy(trained, tmp_path):
    return shutil.copytree(trained[0], tmp_path / "run")


@pytest.mark.fault(12)
def test_other_data_dtype_and_vocabulary_are_refused_and_named(imdb, copy):
    """The data are said to be others by the run and its checkpoints: the reviews can't be exchanged here."""
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["identity"]["data"] = "0" * 64
    (copy / "manifest.json").write_text(json.dumps(manifest))
    for file in (copy / "checkpoints" / "manifests").rglob("*.json"):
        sealed = read_seal(file)
        write_seal(file, sealed._replace(about={**sealed.about, "identity": manifest["identity"]}))
    before = {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()}
    code, _, errors = imdb("train", *SMALL, "--dtype=bfloat16", "--vocabulary-size=400", f"--run-dir={copy}")
    assert code == 1
    for words in ("dtype: float32 there, bfloat16 now", "vocabulary_size: 500 there"):
        assert words in errors
    code, _, errors = imdb("train", *SMALL, f"--run-dir={copy}")  # the reviews are compared once they are prepared
    assert (code, f"data: {'0' * 64} there" in errors) == (1, True)
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.fault(14)
def test_other_versions_are_a_warning_that_names_both(imdb, copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["environments"][0]["versions"]["jax"] = "0.9.9"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    code, output, _ = imdb("train", *SMALL, f"--run-dir={copy}")
    assert code == 0
    assert f"versions.jax: 0.9.9 before, {jax.__version__} now" in output


def test_another_backend_is_a_warning_once(imdb, copy):
    before = json.loads((copy / "manifest.json").read_text())["environments"][-1]["backend"]["name"]
    code, output, errors = imdb("train", *SMALL, "--backend=plain", f"--run-dir={copy}")
    assert (code, f"backend.name: {before} before, plain now" in output) == (0, True), errors
    code, output, _ = imdb("train", *SMALL, "--backend=plain", f"--run-dir={copy}")
    assert (code, "warning" in output) == (0, False)
    code, output, _ = imdb("doctor", copy)
    assert (code, "backend plain" in output) == (0, True), output


@pytest.mark.fault(15)
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_reviews(imdb, tmp_path):
    code, _, errors = imdb("train", *SMALL, "--learning-rate=1e38", f"--run-dir={tmp_path}")
    assert code == 1
    assert re.search(r"not finite in the step after step \d+ \(epoch 1\), on a batch of the examples \d+, ", errors)
    assert "--nonfinite skip" in errors
    assert len(errors.splitlines()) == 1
    code, output, _ = imdb("doctor", tmp_path)
    assert (code, "latest/" in output) == (0, True)


def damage(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(bytes(content))


def test_the_doctor_changes_nothing_and_says_what_a_resume_would_do(imdb, trained, copy):
    code, output, _ = imdb("doctor", copy)
    assert code == 0
    assert "CORRUPT" not in output
    assert "continues from latest/314, epochs recorded: 2" in output
    (copy / "recipe.json").write_text("{")
    damage(copy / "vocabulary.json")
    damage(copy / "checkpoints" / "latest" / "314" / "_METADATA")
    (copy / "records.jsonl").write_text("x\n")
    (copy / "manifest.json").unlink()
    before = {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()}
    code, output, _ = imdb("doctor", copy, "--json")
    found = json.loads(output)
    assert (code, found["is_whole"], found["is_resumable"]) == (1, False, True)
    problems = {part["name"]: part["problem"] for part in found["parts"]}
    best = next((copy / "checkpoints" / "best").iterdir()).name
    damaged = {"recipe.json", "vocabulary.json", "manifest.json", "records.jsonl", "latest/314"}
    assert {name for name, problem in problems.items() if problem} == damaged
    assert "_METADATA was changed" in problems["latest/314"]
    assert "quarantines latest/314, repairs records.jsonl" in found["resume"]
    assert {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()} == before
    code, output, _ = imdb("doctor", copy, "--repair")
    assert code == 1  # the words can't be known from a checkpoint: training writes them anew
    assert re.search(r"vocabulary.json +CORRUPT", output)
    assert (copy / "recipe.json").read_bytes() == (trained[0] / "recipe.json").read_bytes()
    code, output, errors = imdb("train", *SMALL, f"--run-dir={copy}")
    assert code == 0, errors
    assert "vocabulary.json was corrupt" in output
    assert imdb("doctor", copy)[0] == 0
    assert_same_run(trained[0], copy)
    assert best in imdb("evaluate", copy)[1]


def test_a_damaged_run_gives_no_answers(imdb, copy):
    (best,) = (copy / "checkpoints" / "best").iterdir()
    for file, words in (
        (copy / "vocabulary.json", "vocabulary.json"),
        (best / "_METADATA", f"{best} is corrupt: _METADATA was changed"),
    ):
        damage(file)
        code, output, errors = imdb("predict", copy, "a film")
        assert (code, output) == (1, "")
        assert words in errors
        assert "Traceback" not in errors
        damage(file)
    recipe = (copy / "recipe.json").read_text()
    (copy / "recipe.json").write_text(recipe.replace('"padding": "keras"', '"padding": "masked"'))
    code, output, errors = imdb("predict", copy, "a film")
    assert (code, output) == (1, "")
    assert "recipe.padding: keras there, masked now" in errors


def test_the_doctor_tells_who_is_at_work(imdb, command, copy):
    with command("train", *SMALL, "--epochs=200", f"--run-dir={copy}") as process:
        for line in process.stdout:
            if b"params together" in line:
                break
        _, output, _ = imdb("doctor", copy)
        process.kill()
        process.communicate()
    assert f"process {process.pid} on" in output


def test_a_run_is_used_from_any_folder_and_remembers_its_data(imdb, trained, copy, tmp_path):
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    code, output, errors = imdb("evaluate", "../run", "--json", cwd=elsewhere)
    assert code == 0, errors
    assert json.loads(output) == json.loads(imdb("evaluate", trained[0], "--json")[1])
    assert list(elsewhere.iterdir()) == []


def test_a_run_lands_in_a_folder_of_the_checkout_that_names_its_cell(imdb, tmp_path):
    """The run is refused before it begins, since its folder is a file there."""
    name = "imdb-gru-hidden-size-5-seed4000000001"
    blocked = ROOT / "runs" / name
    blocked.parent.mkdir(exist_ok=True)
    blocked.touch()
    try:
        code, _, errors = imdb("train", "--cell=gru", "--hidden-size=5", "--seed=4000000001", cwd=tmp_path)
    finally:
        blocked.unlink()
    assert (code, list(tmp_path.iterdir())) == (1, [])
    assert f"{blocked}: it is a file, but must be a folder" in errors


def test_what_comes_next_can_be_typed(imdb, trained, tmp_path):
    path = shutil.copytree(trained[0], tmp_path / "my run's")
    _, output, _ = imdb("train", *SMALL, f"--run-dir={path}")
    (line,) = (line for line in output.splitlines() if line.startswith("next"))
    assert shlex.split(line)[1:] == ["scripts/imdb", "evaluate", str(path)]


def test_what_is_no_run_among_runs_is_passed_over(imdb, copy, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "explanation.html").touch()
    paths, output = sorted(tmp_path.iterdir()), tmp_path / "new"
    code, table, errors = imdb("report", *paths, f"--output={output}")
    assert code == 0, errors
    assert re.search(r"\| LSTM +\| 1 +\|", table)
    assert errors.splitlines() == [
        f"skipped: {tmp_path / name} is not a run" for name in ("explanation.html", "report")
    ]
    assert f"written  {output / 'report.html'}" in table
    assert (output / "learning_curves.svg").exists()


@needs_permissions
def test_answers_need_no_permission_to_write(imdb, trained, copy, tmp_path):
    home = tmp_path / "home"
    for folder in (home, *(each for each in (copy, *copy.rglob("*")) if each.is_dir())):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o555)
    code, output, errors = imdb("predict", copy, "a great film", wrapper=UNPRIVILEGED, HOME=str(home))
    assert (code, errors) == (0, "")
    assert output == imdb("predict", trained[0], "a great film")[1]
    code, _, errors = imdb("explain", copy, "x", f"--output={copy}/x.html", wrapper=UNPRIVILEGED)
    assert (code, errors) == (1, f"scripts/imdb: --output {copy}/x.html: no permission\n")
    code, _, errors = imdb("train", *SMALL, f"--run-dir={copy}", wrapper=UNPRIVILEGED)
    assert (code, errors.count("\n")) == (1, 1)
    assert errors.startswith(f"scripts/imdb: {copy} can't be written: Permission denied")


def test_output_that_nobody_reads_any_more_ends_a_command_without_a_page(command, trained):
    for arguments in (("predict", trained[0]), ("train", "--help"), ("--help",)):
        reading, writing = os.pipe()
        os.close(reading)
        with command(*arguments, stdout=writing) as process:
            os.close(writing)
            _, errors = process.communicate(b"great\n" * 3000)
        assert (process.returncode, errors) == (141, b"")


def test_several_classes_are_trained_evaluated_predicted_explained_and_reported(imdb, tmp_path):
    words = {"sport": "goal match team", "food": "soup bread salt", "music": "song drum voice"}
    lines = [f"{text} the a {number},{label}" for number in range(20) for label, text in words.items()]
    (tmp_path / "topics.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    path = tmp_path / "run"
    options = [f"--source={tmp_path / 'topics.csv'}", f"--run-dir={path}", "--epochs=4", "--learning-rate=0.05"]
    code, output, errors = imdb(
        "train", *SMALL, *options, "--pooling=max", "--bidirectional", "--class-weights=balanced"
    )
    assert code == 0, errors
    assert json.loads((path / "recipe.json").read_text())["num_classes"] == 3
    code, output, _ = imdb("evaluate", path, "--json")
    answer = json.loads(output)
    assert (code, answer["examples"]) == (0, 12)
    assert sum(map(sum, answer["confusion"])) == 12
    code, output, _ = imdb("predict", path, "soup the a", "--json")
    prediction = json.loads(output)
    by_class = prediction["probabilities"]
    assert (code, list(by_class), prediction["label"]) == (
        0,
        ["food", "music", "sport"],
        max(by_class, key=by_class.get),
    )
    assert prediction["probability"] == by_class[prediction["label"]]
    assert abs(sum(by_class.values()) - 1) < 1e-6
    code, output, errors = imdb("explain", path, "soup the a", "--json", "--of-class", "music")
    assert code == 0, errors
    explained = json.loads(output)
    assert (explained["label"], explained["of_class"]) == (prediction["label"], "music")
    assert explained["probability"] == pytest.approx(by_class["music"], rel=1e-4)
    code, output, errors = imdb("report", path, f"--output={tmp_path / 'report'}")
    assert (code, "report.html" in output) == (0, True), errors
    code, _, errors = imdb("explain", path, "soup", "--of-class=soup")
    assert (code, "no class 'soup': the run has food, music, sport" in errors) == (1, True)


def test_a_recipe_that_its_data_refuse_leaves_no_run(imdb, tmp_path):
    arguments = ["train", *SMALL, f"--run-dir={tmp_path / 'run'}"]
    code, _, errors = imdb(*arguments, "--warmup-steps=1000000")
    assert code == 1
    assert "take fewer (--warmup-steps 0) or train longer" in errors
    assert not (tmp_path / "run" / "manifest.json").exists()
