"""KServe's ``infer`` by a client of its own: state carried by sequence, exactly what ONNX Runtime gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tritonclient.http as triton
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.server import Settings
from tritonclient.utils import InferenceServerException

SIZE = (1, 3, 24, 32)


@pytest.fixture(scope="module")
def running(
    tiny_stream: Bundle, tiny_interpolator: Bundle, tiny_classifier: Bundle, make_running: Any
) -> Iterator[Any]:
    engines = {
        "tiny-stream": Engine.load(tiny_stream, runtime="onnx", threads=1, workers=2, capacity=2),
        "tracker-nano": Engine.load("tracker-nano", runtime="onnx", threads=1, capacity=2),
        "tiny-classifier": Engine.load(tiny_classifier, runtime="onnx", threads=1, capacity=2),
        "tiny": Engine.load(tiny_interpolator, runtime="onnx", threads=1, capacity=2),
    }
    one = make_running(Settings(port=0), engines)
    yield one
    one.stop()
    for engine in engines.values():
        engine.close()


@pytest.fixture
def client(running: Any) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{running.port}") as one:
        yield one


def asked(binary: bool = True, **tensors: Any) -> list[Any]:
    inputs = []
    for name, value in tensors.items():
        inputs.append(triton.InferInput(name, list(value.shape), "FP32"))
        inputs[-1].set_data_from_numpy(value, binary_data=binary)
    return inputs


def frames(seed: int, count: int = 6) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.random(SIZE, np.float32) for _ in range(count)]


@pytest.mark.parametrize("binary", [True, False])
def test_two_interleaved_sequences_are_what_onnx_runtime_gives(
    client: Any, tiny_stream: Bundle, binary: bool
) -> None:
    path = str(tiny_stream.path / "step.onnx")
    plain = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    clips: dict[Any, list[Any]] = {7: frames(1), "eight": frames(2)}
    states: dict[Any, Any] = {key: np.zeros(SIZE, np.float32) for key in clips}
    names = ["shown", "far", "where"]
    for index in range(6):
        for key, clip in clips.items():
            *wanted, states[key] = plain.run(
                [*names, "present_state.mean"], {"image": clip[index], "past_state.mean": states[key]}
            )
            result = client.infer(
                "tiny-stream",
                asked(binary, image=clip[index]),
                outputs=[triton.InferRequestedOutput(name, binary_data=binary) for name in names],
                sequence_id=key,
                sequence_start=index == 0,
                sequence_end=index == 5,
                request_id=f"{key}-{index}",
            )
            assert result.get_response()["id"] == f"{key}-{index}"
            for name, value in zip(names, wanted, strict=True):
                assert np.array_equal(result.as_numpy(name), value)
    with pytest.raises(InferenceServerException, match="was not started"):
        client.infer("tiny-stream", asked(image=clips[7][0]), sequence_id=7)


def test_without_a_sequence_state_is_zero_and_batches_are_rows(client: Any) -> None:
    one, other = frames(3, 2)
    alone = [client.infer("tiny-stream", asked(image=image)).as_numpy("far") for image in (one, other)]
    both = client.infer("tiny-stream", asked(image=np.concatenate([one, other])), model_version="1")
    assert np.array_equal(both.as_numpy("far"), np.concatenate(alone))
    again = client.infer("tiny-stream", asked(image=one)).as_numpy("far")
    assert np.array_equal(again, alone[0])


def test_a_classifier_is_driven_too(client: Any, running: Any) -> None:
    engine = running.engines["tiny-classifier"]
    spec = engine.runtime.spec
    (name,) = spec.functions
    rng = np.random.default_rng(0)
    clip = [
        {one.name: rng.random(one.concrete(1)).astype(one.dtype) for one in spec.function(name).inputs}
        for _ in range(3)
    ]
    state: Any = {one.name: np.zeros(one.concrete(1), one.dtype) for one in spec.state}
    for index, given in enumerate(clip):
        wanted, state = engine.runtime.call(name, given, state)
        told = client.infer(
            "tiny-classifier",
            asked(**given),
            sequence_id=5,
            sequence_start=index == 0,
            sequence_end=index == 2,
        )
        assert all(np.array_equal(told.as_numpy(key), value) for key, value in wanted.items())


def test_a_tracker_and_an_interpolator_are_driven_too(client: Any, running: Any) -> None:
    rng = np.random.default_rng(0)
    spec = running.engines["tracker-nano"].runtime.spec
    init, step = spec.function("init"), spec.function("step")
    given = {one.name: rng.random(one.concrete(1), np.float32) for one in (*init.inputs, *step.inputs)}
    found: list[dict[str, Any]] = []
    for _ in range(2):  # the same frame twice from the same template
        client.infer(
            "tracker-nano",
            asked(**{one.name: given[one.name] for one in init.inputs}),
            sequence_id="target",
            sequence_start=True,
        )
        told = client.infer(
            "tracker-nano",
            asked(**{one.name: given[one.name] for one in step.inputs}),
            sequence_id="target",
            sequence_end=True,
        )
        found.append({one["name"]: told.as_numpy(one["name"]) for one in told.get_response()["outputs"]})
    assert set(found[0]) == {one.name for one in step.outputs}
    assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0])
    first, second = (rng.random((1, 3, 32, 48), np.float32) for _ in range(2))
    moved = {"function": "encode", "carry": json.dumps({"first.image": "second.image"})}
    sequence = {"sequence_id": "video"}
    encode = {"function": "encode"}
    client.infer("tiny", asked(image=first), sequence_start=True, parameters=encode, **sequence)
    client.infer("tiny", asked(image=second), parameters=moved, **sequence)
    client.infer("tiny", [], parameters={"function": "motion"}, **sequence)
    shown = [
        client.infer("tiny", asked(t=np.array([[t]], np.float32)), **sequence).as_numpy("image")
        for t in (0.0, 0.5)
    ]
    assert np.array_equal(shown[0], first)  # as the model is made
    assert not np.array_equal(shown[1], first)


def test_what_the_server_says_of_itself(client: Any, running: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny-stream")
    assert client.is_model_ready("tiny-stream", "1")
    assert not client.is_model_ready("tiny-stream", "2")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    known = client.get_model_metadata("tiny-stream", "1")
    assert known["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 3, 24, 32]}]
    assert [one["name"] for one in known["outputs"]] == ["shown", "far", "where"]
    config = client.get_model_config("tiny-stream")
    assert config["input"] == [{"name": "image", "data_type": "TYPE_FP32", "dims": [-1, 3, 24, 32]}]
    assert config["max_batch_size"] == 0
    assert "sequence_batching" in config
    assert {one["name"] for one in client.get_model_repository_index()} == set(running.engines)
    before = client.get_inference_statistics("tiny-stream")["model_stats"][0]["inference_count"]
    client.infer("tiny-stream", asked(image=frames(4, 1)[0]))
    after = client.get_inference_statistics("tiny-stream")["model_stats"][0]
    assert after["inference_count"] == before + 1
    assert after["inference_stats"]["success"]["ns"] > 0
    assert {one["name"] for one in client.get_inference_statistics()["model_stats"]} == set(running.engines)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"inputs": []}, 422, "DataError"),
        ({"inputs": [{"name": "image", "shape": [1], "datatype": "FP32", "data": [1, 2]}]}, 422, "DataError"),
        ({"inputs": [{"name": "image", "shape": [1], "datatype": "FP32", "data": [1]}]}, 422, "DataError"),
        ({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["a"]}]}, 422, "DataError"),
        ({"inputs": [{"name": "image", "shape": [1], "datatype": "FP32", "data": ["a"]}]}, 422, "DataError"),
        ({"inputs": [{"name": "x", "shape": [-1], "datatype": "FP32", "data": []}]}, 422, "DataError"),
        (
            {"inputs": [{"name": "x", "shape": [3], "datatype": "FP32", "data": [[1], 2]}]},
            422,
            "DataError",
        ),
        ({"parameters": {"carry": "none"}}, 422, "OptionError"),
        ({"parameters": {"carry": "[]"}}, 422, "OptionError"),
        ({"parameters": {"carry": 5}}, 422, "OptionError"),
        ({"inputs": "image"}, 400, "RequestError"),
        ({"inputs": [{"name": "image"}]}, 400, "RequestError"),
        ({"parameters": {"sequence_id": 1.5}}, 400, "RequestError"),
        ({"parameters": {"sequence_id": 99}}, 400, "RequestError"),
        ({"parameters": {"function": "none"}}, 404, "UnknownItemError"),
        ({"outputs": [{"name": "none"}]}, 404, "UnknownItemError"),
        ({"outputs": [{"name": "far", "parameters": {"shared_memory_region": "x"}}]}, 400, "RequestError"),
    ],
)
def test_what_is_no_request_says_why(running: Any, change: dict[str, Any], status: int, code: str) -> None:
    image = {"name": "image", "shape": list(SIZE), "datatype": "FP32", "data": [0.5] * 2304}
    body = json.dumps({"inputs": [image], **change}).encode()
    answer = running.call("POST", "/v2/models/tiny-stream/infer", body)
    assert (answer.status, answer.json["code"]) == (status, code), answer.body
    assert answer.json["error"] == answer.json["detail"]
    for header in ("x", "-1", str(len(body) + 1)):
        headers = {"inference_header_content_length": header}
        assert running.call("POST", "/v2/models/tiny-stream/infer", body, **headers).status == 400


@pytest.mark.parametrize("body", ['""', "[]", "5", "null", "{}", "[" * 100000])
def test_json_that_is_no_object_with_inputs_is_no_request(running: Any, body: str) -> None:
    answer = running.call("POST", "/v2/models/tiny-stream/infer", body.encode())
    assert (answer.status, answer.json["code"]) == (400, "RequestError")
    assert "AttributeError" not in answer.json["detail"]


def test_no_more_sequences_than_sessions(client: Any) -> None:
    (image,) = frames(5, 1)
    for key in (1, 2):
        client.infer("tiny-stream", asked(image=image), sequence_id=key, sequence_start=True)
    with pytest.raises(InferenceServerException, match="sequences are open"):
        client.infer("tiny-stream", asked(image=image), sequence_id=3, sequence_start=True)
    for key in (1, 2):
        client.infer("tiny-stream", asked(image=image), sequence_id=key, sequence_end=True)
