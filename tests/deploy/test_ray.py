"""The files for Ray and KubeRay, as far as they can be checked without a cluster: they say what is meant."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from framestate.cluster.ray_options import (
    APPLICATION,
    FRONT,
    GRACE_S,
    SESSIONS,
    ClusterOptions,
    Scale,
    serve_config,
)
from framestate.cluster.scaling import BySlots
from framestate.errors import OptionError


@pytest.fixture
def folder(checkout: Path) -> Path:
    return checkout / "deploy/ray"


def serve_configs(folder: Path) -> list[dict[str, Any]]:
    service = next(yaml.safe_load_all((folder / "kuberay.yaml").read_text("utf-8")))
    alone = yaml.safe_load((folder / "cluster.yaml").read_text("utf-8"))
    return [alone, yaml.safe_load(service["spec"]["serveConfigV2"])]


def test_every_config_is_one_that_the_application_takes(folder: Path) -> None:
    for config in serve_configs(folder):
        (application,) = config["applications"]
        assert application["import_path"] == APPLICATION
        options = ClusterOptions.model_validate(application["args"])
        settings = options.settings()
        assert settings.api_key_file is not None  # the front listens to other machines
        assert {one["name"] for one in application["deployments"]} <= {SESSIONS, FRONT}
        policy = application["deployments"][0]["autoscaling_config"]["policy"]
        BySlots(**policy["policy_kwargs"])


def test_serve_itself_takes_every_config(folder: Path) -> None:
    schema = pytest.importorskip("ray.serve.schema")
    made = serve_config(ClusterOptions(port=8000), Scale(1, 4))
    for config in [*serve_configs(folder), made]:
        schema.ServeDeploySchema.model_validate(config)


def test_the_service_leads_to_the_fronts(folder: Path) -> None:
    service, claim, address = yaml.safe_load_all((folder / "kuberay.yaml").read_text("utf-8"))
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    options = ClusterOptions.model_validate(config["applications"][0]["args"])
    groups = {one["groupName"]: one for one in service["spec"]["rayClusterConfig"]["workerGroupSpecs"]}
    front = groups[address["spec"]["selector"]["ray.io/group"]]
    assert address["spec"]["ports"][0]["targetPort"] == options.port
    assert front["replicas"] == options.fronts
    for name in options.front_resources:
        assert name in front["rayStartParams"]["resources"]
    volume, _ = groups["servers"]["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (pod,) = groups["servers"]["template"]["spec"]["containers"]
    assert {one["mountPath"] for one in pod["volumeMounts"]} == {options.state_dir, "/etc/framestate"}
    assert float(pod["resources"]["limits"]["cpu"]) >= options.cpus
    assert groups["servers"]["template"]["spec"]["terminationGracePeriodSeconds"] > GRACE_S
    scaling = config["applications"][0]["deployments"][0]["autoscaling_config"]
    assert groups["servers"]["maxReplicas"] >= scaling["max_replicas"]


def test_the_image_holds_every_folder_of_the_package(folder: Path, checkout: Path) -> None:
    copied = re.findall(r"^COPY (\w+) \1$", (folder / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert copied == sorted(init.parent.name for init in checkout.glob("*/__init__.py"))


def test_the_versions_are_those_that_are_tested(folder: Path, checkout: Path) -> None:
    found = re.search(r"^ray==(\S+)$", (checkout / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    service = next(yaml.safe_load_all((folder / "kuberay.yaml").read_text("utf-8")))
    assert found is not None
    assert service["spec"]["rayClusterConfig"]["rayVersion"] == found[1]


@pytest.mark.parametrize("name", ["host", "port", "state_dir", "sources"])
def test_a_server_has_nothing_that_is_the_clusters(name: str) -> None:
    with pytest.raises(OptionError, match=name):
        ClusterOptions(server={name: "x"}).settings()
