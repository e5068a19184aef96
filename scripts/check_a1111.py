#!/usr/bin/env python3
"""Does a client of AUTOMATIC1111's web interface work unchanged? Checks a running server with `webuiapi`.

    python scripts/check_a1111.py [--base-url http://127.0.0.1:8080/sdapi/v1] [--api-key KEY]

Written against webuiapi 0.9.17 (`pip install webuiapi`). Prints one line for each check; exits with 1 if one failed.
"""

import argparse
import base64
import io

import checks
import requests
import webuiapi
from PIL import Image

PROMPT = "a red heart above a teal square on grass"


def texts(image):
    """Returns the parameters that a picture carries, as tools look for them."""
    if "parameters" in image.info:
        return image.info["parameters"]
    comment = image.getexif().get_ifd(0x8769)[0x9286]
    assert comment.startswith(b"UNICODE\0"), comment[:8]
    return comment[8:].decode("utf-16-be")


def side(client):
    """Returns the size of a picture that nobody asked a size of: the family's usual one."""
    reply = requests.post(f"{client.baseurl}/txt2img", json={"prompt": PROMPT}, auth=client.session.auth)
    image = Image.open(io.BytesIO(base64.b64decode(reply.json()["images"][0])))
    return {"width": image.width, "height": image.height}


def unsupported(info):
    """Returns what is told of fields that mean nothing on the server."""
    return [warning["message"] for warning in info["warnings"] if warning["code"] == "unsupported_field"]


def refused(call, status):
    """Returns the text of a refusal that must have this status."""
    try:
        call()
    except RuntimeError as error:
        assert error.args[0] == status, error.args
        return error.args[1]
    raise AssertionError("was not refused")


def a_picture_with_what_the_client_sends_by_itself(client):
    size = side(client)
    result = client.txt2img(prompt=PROMPT, seed=7, **size)
    assert result.image.size == (size["width"], size["height"])
    info = result.info
    assert info["seed"] == 7 and info["all_seeds"] == [7]
    assert info["steps"] == client.default_steps and info["sampler_name"] == client.default_sampler
    assert info["cfg_scale"] == 7.0 and unsupported(info) == [], info["warnings"]
    assert result.parameters["prompt"] == PROMPT
    assert texts(result.image) == info["infotexts"][0], texts(result.image)


def the_same_seed_twice_and_a_random_one(client):
    size = side(client)
    first, second = (client.txt2img(prompt=PROMPT, seed=11, steps=4, **size).image for _ in range(2))
    assert first.tobytes() == second.tobytes(), "the same seed gave two pictures"
    seeds = [client.txt2img(prompt=PROMPT, steps=2, **size).info["seed"] for _ in range(2)]
    assert seeds[0] != seeds[1] and min(seeds) >= 0, seeds


def batches(client):
    result = client.txt2img(prompt=PROMPT, seed=3, steps=2, batch_size=2, n_iter=2, **side(client))
    assert len(result.images) == 4 and result.info["all_seeds"] == [3, 4, 5, 6]
    assert [f"Seed: {seed}," in text for seed, text in zip([3, 4, 5, 6], result.info["infotexts"])] == [True] * 4


def a_negative_prompt(client):
    result = client.txt2img(prompt=PROMPT, negative_prompt="blue", steps=4, seed=1, **side(client))
    assert result.info["negative_prompt"] == "blue"
    assert "\nNegative prompt: blue\n" in result.info["infotexts"][0]


def every_listed_sampler(client):
    size = side(client)
    for name in client.util_get_sampler_names():
        result = client.txt2img(prompt=PROMPT, sampler_name=name, steps=4, cfg_scale=1, **size)
        assert result.info["sampler_name"] == name and unsupported(result.info) == [], result.info


def every_listed_model(client):
    size = side(client)
    for title in client.util_get_model_names():
        settings = {"sd_model_checkpoint": title}
        result = client.txt2img(prompt=PROMPT, override_settings=settings, steps=2, cfg_scale=1, **size)
        name, family = result.info["sd_model_name"], {model["title"] for model in client.get_sd_models()}
        assert name in family and (title in (name, "auto") or title == family_of(client, title)), name


def family_of(client, title):
    """Returns the title of the family that has this one's hash: families stand before their models."""
    models = {model["title"]: model["hash"] for model in client.get_sd_models() if model["title"] != "auto"}
    return next(name for name, digest in models.items() if digest == models.get(title))


def a_budget(client):
    body = {"prompt": PROMPT, "budget": {"tflops": 1000.0}}
    result = client.custom_post("txt2img", payload=body, baseurl=True)
    assert result.info["actual"]["tflops"] <= 1000.0 and result.info["plan"]["steps"] >= 1
    body["budget"]["tflops"] = 1e-9
    assert "would do" in refused(lambda: client.custom_post("txt2img", payload=body, baseurl=True), 422)


def file_formats(client):
    size = side(client)
    for name, kind in [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP")]:
        settings = {"samples_format": name}
        result = client.txt2img(prompt=PROMPT, steps=2, seed=5, override_settings=settings, **size)
        assert result.image.format == kind
        assert texts(result.image) == result.info["infotexts"][0], texts(result.image)


def what_is_not_here_is_told(client):
    result = client.txt2img(
        prompt=PROMPT,
        steps=2,
        enable_hr=True,
        tiling=True,
        scheduler="Karras",
        sampler_name="Heun",
        override_settings={"eta_noise_seed_delta": 31337},
        **side(client),
    )
    told = " ".join(unsupported(result.info))
    for name in ["enable_hr", "tiling", "scheduler", "Heun", "override_settings.eta_noise_seed_delta"]:
        assert name in told, told


def what_is_wrong_is_refused(client):
    text = refused(lambda: client.txt2img(prompt=PROMPT, steps="many", **side(client)), 400)
    assert '"detail":"steps must be an integer' in text, text
    text = refused(lambda: client.txt2img(prompt=PROMPT, width=1, height=1), 400)
    assert "is not offered" in text, text


def settings(client):
    read = client.get_options()
    assert client.util_get_current_model() == read["sd_model_checkpoint"] == "auto"
    assert client.set_options(read) is None
    assert "override_settings" in client.set_options({"sd_model_checkpoint": "other"})["detail"]
    assert client.util_get_scheduler_names() == ["automatic"]


CHECKS = [
    a_picture_with_what_the_client_sends_by_itself,
    the_same_seed_twice_and_a_random_one,
    batches,
    a_negative_prompt,
    every_listed_sampler,
    every_listed_model,
    a_budget,
    file_formats,
    what_is_not_here_is_told,
    what_is_wrong_is_refused,
    settings,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base-url", default="http://127.0.0.1:8080/sdapi/v1")
    parser.add_argument("--api-key", help="sent as the password of basic authentication")
    arguments = parser.parse_args()
    client = webuiapi.WebUIApi(baseurl=arguments.base_url)
    if arguments.api_key:
        client.set_auth("anybody", arguments.api_key)
    checks.run("webuiapi", CHECKS, client)


if __name__ == "__main__":
    main()
