"""scripts/kubernetes.yaml against Kubernetes' schemas, and against what `scripts/imdb train` reads."""

import shlex
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from experiments.cluster import ADDRESS, COUNT, INDEX, Cluster, asked
from experiments.imdb.__main__ import _parse

FILE = Path(__file__).parents[1] / "scripts" / "kubernetes.yaml"
VERSIONS = ("1.31", kubernetes_validate.latest_version())


@pytest.fixture
def objects():
    return {each["kind"]: each for each in yaml.safe_load_all(FILE.read_text())}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifest_has_the_form_of_the_schemas(objects, version):
    assert set(objects) == {"Service", "Job"}
    for each in objects.values():
        kubernetes_validate.validate(each, version, strict=True)
    objects["Job"]["spec"]["compleTions"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(objects["Job"], version, strict=True)


def test_the_pods_are_told_who_takes_part(objects):
    service, job = objects["Service"], objects["Job"]
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = {each["name"]: each.get("value", "1") for each in container["env"]}
    assert set(variables) == {ADDRESS, COUNT, INDEX}
    host = f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    port = container["ports"][0]["containerPort"]
    assert pod["subdomain"] == service["metadata"]["name"]
    assert asked(None, None, None, 600, variables) == Cluster(f"{host}:{port}", 2, 1, 600)
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 2
    assert service["spec"]["selector"].items() <= job["spec"]["template"]["metadata"]["labels"].items()


def test_the_options_are_those_of_train(objects):
    (container,) = objects["Job"]["spec"]["template"]["spec"]["containers"]
    assert shlex.join(container["command"]) == "recurrent-imdb train"
    assert _parse(["train", *container["args"]]).connect_seconds == 600
