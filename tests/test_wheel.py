"""What `pip install` gives a user: the library and its commands, in a fresh environment far from the checkout."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import recurrent
import recurrent.native
from experiments.imdb.runs.open import open_run

ROOT = Path(__file__).parents[1]
RUN = ROOT / "tests" / "golden" / "run"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Builds it, with hatchling from here or else from the package index."""
    folder = tmp_path_factory.mktemp("wheel")
    here = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *here, "--wheel-dir", folder, ROOT]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if "No matching distribution found for hatchling" in built.stderr:
        pytest.skip("hatchling is not here, and neither is a package index")
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Runs a program of an environment into which the wheel was installed; other packages are those of the tests."""
    root = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root], check=True)
    pip = [sys.executable, "-m", "pip", "--python", root / "bin" / "python", "install", "--quiet", "--no-deps", wheel]
    subprocess.run(pip, check=True, capture_output=True)
    (site_packages,) = root.glob("lib/python*/site-packages")
    (site_packages / "others.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    away = tmp_path_factory.mktemp("away")

    def run(program, *arguments):
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "XLA_FLAGS")}
        command = [root / "bin" / program, *map(str, arguments)]
        return subprocess.run(command, cwd=away, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.mark.skipif(recurrent.native.why_not() is not None, reason="the native library is not built here")
def test_a_wheel_carries_the_native_library_if_it_is_asked_to(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    environment = {**os.environ, "RECURRENT_BUILD_NATIVE": "1"}
    subprocess.run([*command, "--wheel-dir", tmp_path, ROOT], env=environment, check=True)
    (path,) = tmp_path.glob("*.whl")
    assert not path.name.endswith("-none-any.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "site")
    program = "import recurrent.native; print(recurrent.__file__, recurrent.native.why_not())"
    environment |= {"PYTHONPATH": str(tmp_path / "site"), "XDG_CACHE_HOME": str(tmp_path / "empty")}
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.stdout.split() == [str(tmp_path / "site" / "recurrent" / "__init__.py"), "None"], ran.stderr


def test_the_wheel_holds_every_file_and_no_package_called_experiments(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [path for path in (ROOT / "experiments").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    missing = {f"recurrent_experiments/{path.relative_to(ROOT)}" for path in files} - names
    assert not missing
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"recurrent", "recurrent_experiments", f"recurrent_jax-{recurrent.__version__}.dist-info"}


def test_the_source_distribution_holds_what_the_readme_links_to(tmp_path):
    sdist = pytest.importorskip("hatchling.builders.sdist")
    (path,) = sdist.SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = {link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("http")}
    assert len(links) > 10
    assert links - names == set()


def test_an_editable_installation_runs_the_checkout(tmp_path):
    """Nothing of the checkout is copied, so that what is changed there is what runs."""
    here = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    target = ["--target", tmp_path, "--no-deps", *here, "--editable", ROOT]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *target], capture_output=True, text=True, check=False
    )
    if "No matching distribution found for hatchling" in done.stderr:
        pytest.skip("hatchling is not here, and neither is a package index")
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("*.py")) == []
    (path_file,) = tmp_path.glob("*.pth")
    assert path_file.read_text().splitlines() == [str(ROOT), str(ROOT / "scripts")]
    program = (
        "import recurrent_experiments as e; e.make_importable(); import experiments; print(experiments.__path__[0])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path_file.read_text().splitlines())}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == str(ROOT / "experiments")


def test_the_library_is_imported_from_there_and_knows_its_version(installed):
    program = "import recurrent, importlib.metadata as m; print(recurrent.__file__, m.version('recurrent-jax'))"
    file, version = installed("python", "-c", program).stdout.split()
    assert not Path(file).is_relative_to(ROOT)
    assert version == recurrent.__version__


@pytest.mark.parametrize("name", ["imdb", "memory", "speed"])
def test_each_command_answers(installed, name):
    done = installed(f"recurrent-{name}", "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: recurrent-{name} ")


def test_a_run_answers_and_explains_as_in_the_checkout(installed, tmp_path):
    text, page = "what a wonderful film", tmp_path / "page.html"
    done = installed("recurrent-imdb", "predict", RUN, text, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["probability"] == pytest.approx(open_run(RUN).predict([text])[0], rel=1e-5)
    done = installed("recurrent-imdb", "explain", RUN, text, f"--output={page}")
    assert done.returncode == 0, done.stderr
    assert "wonderful" in page.read_text(encoding="utf-8")


def test_processes_that_a_command_starts_find_the_experiments(installed, tmp_path):
    done = installed("recurrent-imdb", "soak", "--recipe=ltsm", f"--folder={tmp_path}")
    assert "recurrent-imdb: there is no recipe 'ltsm'. Did you mean 'lstm'?" in done.stderr


def test_a_program_can_open_runs(installed):
    program = """
import sys, recurrent_experiments
recurrent_experiments.make_importable()
from experiments.imdb.runs.open import open_run
from experiments.imdb.reviews.wheel import Wheel
assert Wheel().order_path.is_file()
print(open_run(sys.argv[1]).recipe.cell)
"""
    done = installed("python", "-c", program, RUN)
    assert (done.returncode, done.stdout) == (0, "lstm\n"), done.stderr
    other = "import sys, types; m = sys.modules['experiments'] = types.ModuleType('experiments'); m.__path__ = ['/x']"
    done = installed("python", "-c", f"{other}\nimport recurrent_experiments; recurrent_experiments.make_importable()")
    assert "ImportError: another package called experiments is imported, from /x" in done.stderr


def test_a_package_that_is_missing_is_said_with_what_brings_it(wheel, tmp_path):
    """The library alone needs JAX and jaxtyping; its commands need the extra `imdb`, and are there without it."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    program = "import sys; sys.argv = ['recurrent-imdb']; import recurrent_experiments as e; e.imdb()"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(tmp_path)!r})\n{program}"],
        capture_output=True,
        text=True,
        check=False,
    )
    words = "recurrent-imdb: the package tyro is not installed; run pip install 'recurrent-jax[imdb]'\n"
    assert (done.returncode, done.stderr) == (1, words)
