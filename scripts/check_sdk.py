#!/usr/bin/env python3
"""Does the official OpenAI SDK work unchanged? Checks a running server with `pip install openai`.

    python scripts/check_sdk.py [--base-url http://127.0.0.1:8080/v1] [--api-key KEY]

Written against openai 3.57. Prints one line for each check; exits with 1 if one failed.
"""

import argparse
import base64
import struct

import checks
import openai

PROMPT = "a red heart above a teal square on grass"


def png_size(image):
    """Returns (width, height) of a base64 PNG, or fails."""
    data = base64.b64decode(image.b64_json, validate=True)
    assert data[:8] == b"\x89PNG\r\n\x1a\n", "not a PNG"
    return struct.unpack(">II", data[16:24])


def refused(call, kind):
    """Returns the error body of a call that must fail with `kind`."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"was not refused with {kind.__name__}")


def picture(client):
    reply = client.images.generate(model="auto", prompt=PROMPT)
    assert len(reply.data) == 1 and reply.output_format == "png"
    assert reply.size == "{}x{}".format(*png_size(reply.data[0]))


def several_pictures_with_every_neutral_field(client):
    reply = client.images.generate(
        model="auto",
        prompt=PROMPT,
        n=2,
        size="auto",
        quality="low",
        response_format="b64_json",
        output_format="png",
        background="opaque",
        moderation="auto",
        stream=False,
        user="someone",
    )
    assert len(reply.data) == 2
    seeds = [image.model_extra["seed"] for image in reply.data]
    assert seeds[1] == seeds[0] + 1, seeds


def every_file_format(client):
    starts = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff", "webp": b"RIFF"}
    for name, start in starts.items():
        reply = client.images.generate(
            model="auto", prompt=PROMPT, output_format=name, output_compression=80 if name == "jpeg" else 100
        )
        assert reply.output_format == name
        assert base64.b64decode(reply.data[0].b64_json).startswith(start), name
    call = lambda: client.images.generate(model="auto", prompt=PROMPT, output_format="png", output_compression=80)
    assert refused(call, openai.BadRequestError).param == "output_compression"


def budget_and_what_came_of_it(client):
    extra = {"budget": {"tflops": 1000.0}, "seed": 7}
    reply = client.images.generate(model="auto", prompt=PROMPT, extra_body=extra).model_extra
    assert reply["budget"]["tflops"] == 1000.0
    assert reply["actual"]["tflops"] <= 1000.0 and reply["actual"]["latency_ms"] > 0
    assert reply["plan"]["steps"] >= 1


def pinned_steps_and_the_same_seed_twice(client):
    model = next(m.id for m in client.models.list() if m.model_extra.get("family"))
    pins = {"num_inference_steps": 3, "guidance_scale": 1.0, "sampler": "ddim", "seed": 11}
    first, second = (client.images.generate(model=model, prompt=PROMPT, extra_body=pins) for _ in range(2))
    assert first.model_extra["plan"]["steps"] == 3 and first.model_extra["plan"]["model"] == model
    assert first.data[0].b64_json == second.data[0].b64_json, "the same seed gave two pictures"


def deadline_header_is_echoed(client):
    headers = {"Request-Timeout-Ms": "60000"}
    reply = client.images.generate(model="auto", prompt=PROMPT, extra_headers=headers)
    assert reply.model_extra["budget"]["latency_from"] == "Request-Timeout-Ms"


def request_id_is_echoed(client):
    raw = client.with_options().images.with_raw_response.generate(
        model="auto", prompt=PROMPT, extra_headers={"x-request-id": "check-sdk-1"}
    )
    assert raw.headers["x-request-id"] == "check-sdk-1"


def infeasible_budget_is_refused_once(client):
    call = lambda: client.images.generate(model="auto", prompt=PROMPT, extra_body={"budget": {"tflops": 1e-9}})
    error = refused(call, openai.UnprocessableEntityError)
    assert error.code == "budget_infeasible" and error.body["minimum_feasible"]["tflops"] > 1e-9
    assert error.response.headers["x-should-retry"] == "false"


def bad_fields_are_named(client):
    for extra, param in [({"steps": 3}, "steps"), ({"num_inference_steps": "x"}, "num_inference_steps")]:
        call = lambda extra=extra: client.images.generate(model="auto", prompt=PROMPT, extra_body=extra)
        error = refused(call, openai.BadRequestError)
        assert error.param == param and error.type == "invalid_request_error", error
    call = lambda: client.images.generate(model="nobody", prompt=PROMPT)
    assert refused(call, openai.NotFoundError).code == "model_not_found"
    call = lambda: client.images.generate(model="auto", prompt=PROMPT, extra_body={"partial_images": 2})
    assert refused(call, openai.BadRequestError).param == "partial_images"


def partial_pictures_are_streamed(client):
    extra = {"num_inference_steps": 8, "seed": 3}
    stream = client.images.generate(model="auto", prompt=PROMPT, stream=True, partial_images=2, extra_body=extra)
    events = list(stream)
    kinds = [event.type for event in events]
    assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"], kinds
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    sizes = {"{}x{}".format(*png_size(event)) for event in events}
    assert sizes == {events[0].size}, sizes
    whole = client.images.generate(model="auto", prompt=PROMPT, extra_body=extra)
    assert events[-1].b64_json == whole.data[0].b64_json, "streamed and whole pictures differ"


def refusals_of_a_stream_are_ordinary_ones(client):
    call = lambda: client.images.generate(
        model="auto", prompt=PROMPT, stream=True, extra_body={"budget": {"tflops": 1e-9}}
    )
    assert refused(call, openai.UnprocessableEntityError).code == "budget_infeasible"


def models(client):
    listed = [model.id for model in client.models.list()]
    assert listed, "no model is hosted"
    assert client.models.retrieve(listed[0]).id == listed[0]
    refused(lambda: client.models.retrieve("nobody"), openai.NotFoundError)


CHECKS = [
    models,
    picture,
    several_pictures_with_every_neutral_field,
    every_file_format,
    budget_and_what_came_of_it,
    pinned_steps_and_the_same_seed_twice,
    deadline_header_is_echoed,
    request_id_is_echoed,
    infeasible_budget_is_refused_once,
    bad_fields_are_named,
    partial_pictures_are_streamed,
    refusals_of_a_stream_are_ordinary_ones,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base-url", default="http://127.0.0.1:8080/v1")
    parser.add_argument("--api-key", default="unused")
    arguments = parser.parse_args()
    client = openai.OpenAI(base_url=arguments.base_url, api_key=arguments.api_key)
    checks.run(f"openai {openai.__version__}", CHECKS, client)


if __name__ == "__main__":
    main()
